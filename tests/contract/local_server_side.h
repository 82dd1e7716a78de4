// The server's side of a server that runs on this machine.
#pragma once

#include "tests/contract/backend.h"

namespace bt::contract {

class LocalServerSide : public ServerSide {
 public:
  // Makes a directory, which is removed at the end with all it holds.
  LocalServerSide();
  ~LocalServerSide() override;
  LocalServerSide(const LocalServerSide&) = delete;
  LocalServerSide& operator=(const LocalServerSide&) = delete;

  const RemotePath& root() const { return root_; }

  // When an OpenSSH server serves these files, as the user who runs the tests.
  static Traits TraitsOfOpenSsh();

  void WriteFile(const RemotePath& path, std::string_view content) override;
  void AppendFile(const RemotePath& path, std::string_view content) override;
  void MakeDirectory(const RemotePath& path) override;
  void MakeLink(const RemotePath& path, std::string_view target) override;
  void Remove(const RemotePath& path) override;
  void Move(const RemotePath& from, const RemotePath& to) override;
  bool Exists(const RemotePath& path) override;
  std::string ReadFile(const RemotePath& path) override;
  Attributes Lstat(const RemotePath& path) override;
  FsStats StatFs(const RemotePath& path) override;

 private:
  RemotePath root_;
};

}  // namespace bt::contract
