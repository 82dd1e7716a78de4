#include "tests/contract/sftp_server_backend.h"

#include "tests/contract/local_server_side.h"
#include "tests/support/sftp_pipe/pipe_channel.h"
#include "transport/sftp/sftp_fs.h"

namespace bt::contract {
namespace {

class SftpServerBackend : public Backend {
 public:
  explicit SftpServerBackend(bool bare) {
    test::PipeOptions options;
    if (bare) {
      // Names of sftp-server(8); what is denied is not announced either.
      options.arguments = {"-P", "posix-rename,hardlink,fsync,statvfs,fstatvfs,lsetstat,limits,copy-data"};
    }
    const OpContext ctx = OpContext::WithTimeout(std::chrono::seconds(60));
    fs_ = Must(sftp::SftpFs::Open(ctx, Must(test::PipeChannel::Spawn(std::move(options)))));
  }

  RemoteFs& fs() override { return *fs_; }
  ServerSide& server() override { return server_; }
  RemotePath root() const override { return server_.root(); }
  Traits traits() const override { return LocalServerSide::TraitsOfOpenSsh(); }

 private:
  LocalServerSide server_;
  std::unique_ptr<sftp::SftpFs> fs_;
};

}  // namespace

std::unique_ptr<Backend> MakeSftpServerBackend(bool bare) { return std::make_unique<SftpServerBackend>(bare); }

}  // namespace bt::contract
