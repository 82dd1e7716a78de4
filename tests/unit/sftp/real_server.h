// A temporary directory seen through SftpFs and a real sftp-server.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>

#include "tests/support/sftp_pipe/pipe_channel.h"
#include "transport/sftp/sftp_fs.h"

namespace bt::sftp {

inline OpContext Patient() { return OpContext::WithTimeout(std::chrono::seconds(50)); }

class RealServer : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "bt-sftp-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = std::filesystem::canonical(pattern);
    Connect();
  }

  void TearDown() override {
    fs_.reset();
    std::filesystem::remove_all(directory_);
  }

  void Connect(test::PipeOptions options = {}) {
    fs_.reset();
    Result<std::unique_ptr<test::PipeChannel>> spawned = test::PipeChannel::Spawn(std::move(options));
    ASSERT_TRUE(spawned.ok()) << Describe(spawned.error());
    channel_ = spawned.value().get();
    Result<std::unique_ptr<SftpFs>> opened = SftpFs::Open(Patient(), std::move(spawned).value());
    ASSERT_TRUE(opened.ok()) << Describe(opened.error());
    fs_ = std::move(opened).value();
  }

  RemotePath Path(std::string_view relative = "") const {
    return RemotePath::Parse(directory_.string() + "/" + std::string(relative)).value();
  }
  std::filesystem::path Local(std::string_view relative) const { return directory_ / relative; }

  void WriteLocal(std::string_view relative, std::string_view content) const {
    std::ofstream(Local(relative), std::ios::binary) << content;
  }
  std::string ReadLocal(std::string_view relative) const {
    std::ifstream file(Local(relative), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  OpenedFile MustOpen(std::string_view relative, OpenFlags flags, std::uint32_t permissions = 0644) {
    Result<OpenedFile> opened = fs_->Open(Patient(), Path(relative), flags, permissions);
    EXPECT_TRUE(opened.ok()) << Describe(opened.error());
    return opened.ok() ? std::move(opened).value() : OpenedFile{};
  }

  static Status Write(RemoteFile& file, std::uint64_t offset, std::string_view text) {
    return file.Write(Patient(), offset, std::as_bytes(std::span(text)));
  }
  // What Read() yields, or "<code>".
  static std::string Read(RemoteFile& file, std::uint64_t offset, std::size_t length) {
    std::string text(length, '?');
    const Result<std::size_t> got = file.Read(Patient(), offset, std::as_writable_bytes(std::span(text)));
    if (!got.ok()) {
      return "<" + std::string(CodeName(got.error().code)) + ">";
    }
    text.resize(*got);
    return text;
  }

  // Round trips of `operation`, which runs on this thread.
  template <typename Operation>
  int Turns(Operation operation) {
    channel_->StartTurns([client = &fs_->client()] { return client->waiting() > 0; });
    operation();
    return channel_->StopTurns();
  }

  std::filesystem::path directory_;
  test::PipeChannel* channel_ = nullptr;  // owned by fs_
  std::unique_ptr<SftpFs> fs_;
};

inline constexpr OpenFlags kReading{.read = true};
inline constexpr OpenFlags kWriting{.write = true, .create = true};
inline constexpr OpenFlags kBoth{.read = true, .write = true, .create = true};
inline constexpr OpenFlags kExclusively{.write = true, .create = true, .exclusive = true};
inline constexpr OpenFlags kTruncating{.write = true, .create = true, .truncate = true};

}  // namespace bt::sftp
