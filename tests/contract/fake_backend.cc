#include "tests/contract/fake_backend.h"

#include "tests/support/fake_remote_fs/fake_remote_fs.h"

namespace bt::contract {
namespace {

class FakeBackend : public Backend, public ServerSide {
 public:
  explicit FakeBackend(bool bare) {
    fs_.MakeDirs(root_.text());
    FsStats stats;
    stats.blocks = 1000;
    stats.blocks_free = 900;
    stats.blocks_available = 800;
    stats.files = 700;
    stats.files_free = 600;
    stats.files_available = 500;
    fs_.SetStats(stats);
    stats_ = stats;
    if (bare) {
      fs_.SetCapabilities(RemoteCapabilities{});
    }
  }

  RemoteFs& fs() override { return fs_; }
  ServerSide& server() override { return *this; }
  RemotePath root() const override { return root_; }

  void WriteFile(const RemotePath& path, std::string_view content) override { fs_.WriteFile(path.text(), content); }
  void AppendFile(const RemotePath& path, std::string_view content) override { fs_.AppendFile(path.text(), content); }
  void MakeDirectory(const RemotePath& path) override { fs_.MakeDirs(path.text()); }
  void MakeLink(const RemotePath& path, std::string_view target) override { fs_.MakeLink(path.text(), target); }
  void Remove(const RemotePath& path) override { fs_.Remove(path.text()); }
  void Move(const RemotePath& from, const RemotePath& to) override { fs_.Move(from.text(), to.text()); }
  bool Exists(const RemotePath& path) override { return fs_.Exists(path.text()); }
  std::string ReadFile(const RemotePath& path) override { return fs_.ReadFile(path.text()); }
  Attributes Lstat(const RemotePath& path) override { return fs_.AttributesOf(path.text()); }
  FsStats StatFs(const RemotePath& /*path*/) override { return stats_; }

 private:
  const RemotePath root_ = RemotePath::Parse("/srv/test").value();
  FakeRemoteFs fs_;
  FsStats stats_;
};

}  // namespace

std::unique_ptr<Backend> MakeFakeBackend(bool bare) { return std::make_unique<FakeBackend>(bare); }

}  // namespace bt::contract
