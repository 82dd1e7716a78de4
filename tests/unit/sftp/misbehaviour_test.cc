// SftpFs against servers that are odd, or worse.
#include <gtest/gtest.h>

#include "tests/support/sftp_pipe/fake_server_channel.h"
#include "transport/sftp/sftp_fs.h"

namespace bt::sftp {
namespace {

using test::AttrsReply;
using test::FakeServerChannel;
using test::HandleReply;
using test::NameItem;
using test::NameReply;
using test::SeenRequest;
using test::StatusReply;

OpContext Patient() { return OpContext::WithTimeout(std::chrono::seconds(50)); }
const RemotePath kRoot;

using Bytes = std::vector<std::byte>;

// Calls `script` for what it answers, and gives usual answers to the rest.
class Misbehaviour : public testing::Test {
 protected:
  void Connect(FakeServerChannel::Script script, std::vector<std::pair<std::string, std::string>> extensions = {}) {
    auto usual = [script = std::move(script)](const SeenRequest& request) -> Bytes {
      if (Bytes answer = script(request); !answer.empty()) {
        return answer;
      }
      switch (request.type) {
        case MessageType::kOpen:
        case MessageType::kOpendir:
          return HandleReply(request.id, "h");
        case MessageType::kReaddir:
          return StatusReply(request.id, StatusCode::kEof);
        case MessageType::kStat:
        case MessageType::kLstat:
        case MessageType::kFstat:
          return AttrsReply(request.id, 0);
        default:
          return StatusReply(request.id, StatusCode::kOk);
      }
    };
    auto channel = std::make_unique<FakeServerChannel>(test::GreetingThen(usual, std::move(extensions)));
    server_ = channel.get();
    fs_ = SftpFs::Open(Patient(), std::move(channel)).value();
  }

  // A listing of one reply.
  Result<std::vector<DirEntry>> List(std::vector<NameItem> items, std::optional<std::uint32_t> count = {},
                                     FakeServerChannel::Script more = nullptr) {
    Connect([=, listed = false](const SeenRequest& request) mutable -> Bytes {
      if (request.type == MessageType::kReaddir && !std::exchange(listed, true)) {
        return NameReply(request.id, items, count);
      }
      return more ? more(request) : Bytes();
    });
    return fs_->ReadDirectory(Patient(), kRoot);
  }

  Result<std::size_t> Read(std::string& out) {
    Result<OpenedFile> opened = fs_->Open(Patient(), kRoot, OpenFlags{.read = true}, 0);
    EXPECT_TRUE(opened.ok());
    return opened->file->Read(Patient(), 0, std::as_writable_bytes(std::span(out)));
  }

  FakeServerChannel* server_ = nullptr;
  std::unique_ptr<SftpFs> fs_;
};

// READ as pkg/sftp does it: any length, cut to `cap`.
FakeServerChannel::Script FileThatAnswersAtMost(std::string content, std::size_t cap, std::vector<std::uint32_t>* asked,
                                                Mutex* mutex) {
  return [=](const SeenRequest& request) -> Bytes {
    if (request.type != MessageType::kRead) {
      return {};
    }
    PacketReader reader = request.Reader();
    reader.String();
    const std::uint64_t offset = reader.U64();
    const std::uint32_t length = reader.U32();
    {
      MutexLock lock(*mutex);
      asked->push_back(length);
    }
    if (offset >= content.size()) {
      return StatusReply(request.id, StatusCode::kEof);
    }
    return test::DataReply(request.id, content.substr(offset, std::min<std::size_t>(length, cap)));
  };
}

TEST_F(Misbehaviour, ShortReadsInTheMiddleOfAFileAreAskedForAgain) {
  std::string content(300000, 'x');
  for (std::size_t i = 0; i < content.size(); ++i) {
    content[i] = static_cast<char>(i * 7919 >> 8U);
  }
  std::vector<std::uint32_t> asked;
  Mutex mutex;
  Connect(FileThatAnswersAtMost(content, 10000, &asked, &mutex));
  std::string out(400000, '?');
  ASSERT_EQ(*Read(out), content.size());
  EXPECT_TRUE(out.substr(0, content.size()) == content);
  std::string part(200000, '?');
  {
    MutexLock lock(mutex);
    asked.clear();
  }
  ASSERT_EQ(*Read(part), part.size());
  EXPECT_TRUE(part == content.substr(0, part.size()));
  MutexLock lock(mutex);
  EXPECT_EQ(asked, std::vector<std::uint32_t>(20, 10000)) << "the cap has been learned";
}

TEST_F(Misbehaviour, AServerThatGivesOneByteAtATimeIsReadCorrectly) {
  std::vector<std::uint32_t> asked;
  Mutex mutex;
  Connect(FileThatAnswersAtMost("hello world", 1, &asked, &mutex));
  std::string out(100, '?');
  ASSERT_EQ(*Read(out), 11U);
  EXPECT_EQ(out.substr(0, 11), "hello world");
}

TEST_F(Misbehaviour, AFailedReadIsNeverAShortOne) {
  Connect([](const SeenRequest& request) -> Bytes {
    if (request.type != MessageType::kRead) {
      return {};
    }
    PacketReader reader = request.Reader();
    reader.String();
    return reader.U64() == 0 ? test::DataReply(request.id, std::string(32768, 'x'))
                             : StatusReply(request.id, StatusCode::kFailure);
  });
  std::string out(65536, '?');
  EXPECT_EQ(Read(out).error().code, Code::kFailure);
}

TEST_F(Misbehaviour, MoreDataThanAskedForEndsTheChannel) {
  Connect([](const SeenRequest& request) -> Bytes {
    return request.type == MessageType::kRead ? test::DataReply(request.id, std::string(1000, 'x')) : Bytes();
  });
  std::string out(10, '?');
  EXPECT_EQ(Read(out).error().code, Code::kProtocol);
  EXPECT_TRUE(server_->WaitForEnd().has_value());
}

TEST_F(Misbehaviour, NamesThatCannotBeNamesAreLeftOut) {
  const Result<std::vector<DirEntry>> entries = List({{"."},
                                                      {".."},
                                                      {"../etc"},
                                                      {"/etc/passwd"},
                                                      {"a/b"},
                                                      {""},
                                                      {std::string("nu\0l", 4)},
                                                      {std::string(256, 'n')},
                                                      {"good"},
                                                      {std::string(255, 'n')}});
  ASSERT_TRUE(entries.ok());
  ASSERT_EQ(entries->size(), 2U);
  EXPECT_EQ(entries->at(0).name.text(), "good");
}

TEST_F(Misbehaviour, AListingWithAWrongCountEndsTheChannel) {
  EXPECT_EQ(List({{"a"}}, 2).error().code, Code::kProtocol);
  EXPECT_TRUE(server_->WaitForEnd().has_value());
  EXPECT_EQ(List({{"a"}}, 0xffffffffU).error().code, Code::kProtocol);
}

TEST_F(Misbehaviour, EntriesWithoutAttributesAreAskedFor) {
  const Result<std::vector<DirEntry>> entries =
      List({{"whole"}, {"bare", std::nullopt}, {"gone", std::nullopt}, {"secret", std::nullopt}}, {},
           [](const SeenRequest& request) -> Bytes {
             const std::string path(request.type == MessageType::kLstat ? request.Reader().String() : "");
             return path == "/bare"     ? AttrsReply(request.id, 77, 0040755)
                    : path == "/gone"   ? StatusReply(request.id, StatusCode::kNoSuchFile)
                    : path == "/secret" ? StatusReply(request.id, StatusCode::kPermissionDenied)
                                        : Bytes();
           });
  ASSERT_EQ(entries->size(), 3U);
  EXPECT_TRUE(entries->at(1).attributes.is_directory());
  EXPECT_EQ(entries->at(2).name.text(), "secret");
  EXPECT_EQ(entries->at(2).attributes.mode, 0U);
}

TEST_F(Misbehaviour, AListingThatMayHaveLeftOutEntriesIsAnErrorAndNotAShortListing) {
  for (const auto& [status, code] : {std::pair(StatusCode::kNoSuchFile, Code::kNotFound),
                                     std::pair(StatusCode::kPermissionDenied, Code::kPermissionDenied)}) {
    const auto entries = List({{"one"}}, {}, [status](const SeenRequest& request) {
      return request.type == MessageType::kLstat  ? StatusReply(request.id, status)
             : request.type == MessageType::kStat ? AttrsReply(request.id, 0, 0040755)
                                                  : Bytes();
    });
    ASSERT_FALSE(entries.ok());
    EXPECT_EQ(entries.error().code, code);
  }
}

TEST_F(Misbehaviour, AListingThatNeverEndsIsAnError) {
  Connect([](const SeenRequest& request) -> Bytes {
    return request.type == MessageType::kReaddir ? NameReply(request.id, {}) : Bytes();
  });
  EXPECT_EQ(fs_->ReadDirectory(Patient(), kRoot).error().code, Code::kProtocol);
}

TEST_F(Misbehaviour, AListingThatFailsInItsMiddleIsAnErrorAndNotAShortListing) {
  Connect([listed = false](const SeenRequest& request) mutable -> Bytes {
    if (request.type == MessageType::kStat) {
      return AttrsReply(request.id, 0, 0040755);
    }
    if (request.type != MessageType::kReaddir) {
      return {};
    }
    return std::exchange(listed, true) ? StatusReply(request.id, StatusCode::kFailure) : NameReply(request.id, {{"a"}});
  });
  EXPECT_EQ(fs_->ReadDirectory(Patient(), kRoot).error().code, Code::kFailure);
}

TEST_F(Misbehaviour, OpenAsksTheHandleWhenTheNameDoesNotAnswer) {
  Connect([](const SeenRequest& request) -> Bytes {
    return request.type == MessageType::kStat    ? StatusReply(request.id, StatusCode::kNoSuchFile)
           : request.type == MessageType::kFstat ? AttrsReply(request.id, 55)
                                                 : Bytes();
  });
  EXPECT_EQ(fs_->Open(Patient(), kRoot, OpenFlags{.read = true}, 0)->attributes.size, 55U);
}

TEST_F(Misbehaviour, OpenWithTruncateDoesNotBelieveAnOldSize) {
  Connect([](const SeenRequest& request) -> Bytes {
    return request.type == MessageType::kStat    ? AttrsReply(request.id, 999)
           : request.type == MessageType::kFstat ? AttrsReply(request.id, 0)
                                                 : Bytes();
  });
  EXPECT_EQ(fs_->Open(Patient(), kRoot, OpenFlags{.write = true, .truncate = true}, 0)->attributes.size, 0U);
}

TEST_F(Misbehaviour, AnInterruptedOpenLeavesNoHandleAtTheServer) {
  std::stop_source cancel;
  Connect([&cancel](const SeenRequest& request) -> Bytes {
    if (request.type != MessageType::kOpen) {
      return {};
    }
    cancel.request_stop();  // the caller may leave before the answer or with it: the handle must be closed anyway
    return HandleReply(request.id, "left behind");
  });
  { const auto opened = fs_->Open(OpContext{TimePoint::max(), cancel.get_token()}, kRoot, OpenFlags{.read = true}, 0); }
  const std::vector<SeenRequest> seen = server_->WaitForRequests(5);
  ASSERT_EQ(seen.size(), 5U);
  EXPECT_EQ(seen[4].type, MessageType::kClose);
  EXPECT_EQ(seen[4].Reader().String(), "left behind");
}

TEST_F(Misbehaviour, ARealPathThatIsNotOneEndsTheChannel) {
  Connect([](const SeenRequest& request) -> Bytes {
    return request.type == MessageType::kRealpath ? NameReply(request.id, {{"/a/../../b"}}) : Bytes();
  });
  EXPECT_EQ(fs_->RealPath(Patient(), ".").error().code, Code::kProtocol);
}

TEST_F(Misbehaviour, PermissionsGoAnotherWayWhereLsetstatCannotChangeThem) {
  Connect(
      [](const SeenRequest& request) -> Bytes {
        return request.type == MessageType::kExtended ? StatusReply(request.id, StatusCode::kFailure) : Bytes();
      },
      {{"lsetstat@openssh.com", "1"}});
  AttributeChange change;
  change.permissions = 0600;
  EXPECT_TRUE(fs_->SetAttributes(Patient(), kRoot, change).ok());
  EXPECT_TRUE(fs_->SetAttributes(Patient(), kRoot, change).ok());
  std::vector<MessageType> types;
  for (const SeenRequest& request : server_->WaitForRequests(7)) {
    types.push_back(request.type);
  }
  using enum MessageType;
  EXPECT_EQ(types, (std::vector{kInit, kExtended, kExtended, kLstat, kSetstat, kLstat, kSetstat}));
}

// OpenSSH's copy-data says OK although the last 64 KiB could not be written.
TEST_F(Misbehaviour, ACopyIsNotBelievedWithoutAWriteThatSucceeds) {
  Connect(
      [](const SeenRequest& request) -> Bytes {
        if (request.type == MessageType::kFstat) {
          return AttrsReply(request.id, 200000);
        }
        if (request.type == MessageType::kRead) {
          PacketReader reader = request.Reader();
          reader.String();
          reader.U64();
          return test::DataReply(request.id, std::string(reader.U32(), 'x'));
        }
        return request.type == MessageType::kWrite ? StatusReply(request.id, StatusCode::kFailure) : Bytes();
      },
      {{"copy-data", "1"}});
  OpenedFile from = fs_->Open(Patient(), RemotePath::Parse("/a").value(), OpenFlags{.read = true}, 0).value();
  OpenedFile to = fs_->Open(Patient(), RemotePath::Parse("/b").value(), OpenFlags{.write = true}, 0).value();
  EXPECT_EQ(fs_->CopyRange(Patient(), *from.file, 0, *to.file, 0, 100000).error().code, Code::kFailure);
}

TEST_F(Misbehaviour, ACopyOfAFileThatShrinksForEverEnds) {
  Connect(
      [](const SeenRequest& request) -> Bytes {
        return request.type == MessageType::kFstat      ? AttrsReply(request.id, 200000)
               : request.type == MessageType::kRead     ? StatusReply(request.id, StatusCode::kEof)
               : request.type == MessageType::kExtended ? StatusReply(request.id, StatusCode::kEof)
                                                        : Bytes();
      },
      {{"copy-data", "1"}});
  OpenedFile from = fs_->Open(Patient(), RemotePath::Parse("/a").value(), OpenFlags{.read = true}, 0).value();
  OpenedFile to = fs_->Open(Patient(), RemotePath::Parse("/b").value(), OpenFlags{.write = true}, 0).value();
  EXPECT_EQ(*fs_->CopyRange(Patient(), *from.file, 0, *to.file, 0, 100000), 0U);
}

}  // namespace
}  // namespace bt::sftp
