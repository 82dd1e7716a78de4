#include "transport/reconnecting_fs.h"

#include <gtest/gtest.h>

#include <future>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "tests/unit/transport/fake_session.h"

namespace bt {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

RemotePath P(std::string_view text) { return RemotePath::Parse(text).value(); }
std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

Fault After(std::function<void()> action, Fault fault) {
  fault.action = std::move(action);
  return fault;
}

class ReconnectingFsTest : public testing::Test {
 protected:
  ReconnectingFsTest() {
    server_.WriteFile("/a", "hello");
    server_.MakeDirs("/d");
    server_.MakeLink("/l", "a");
  }

  void Lose() { link_.ReportLost(link_.status().reconnects + 1, kCut); }
  std::unique_ptr<RemoteFile> Open(std::string_view path, OpenFlags flags) {
    auto opened = fs_.Open(Soon(), P(path), flags, 0644);
    EXPECT_TRUE(opened.ok());
    return opened ? std::move(opened->file) : nullptr;
  }
  static Result<std::string> Read(RemoteFile& file, std::uint64_t offset = 0, std::size_t length = 100) {
    std::string text(length, '\0');
    text.resize(TRY(file.Read(Soon(), offset, std::as_writable_bytes(std::span(text.data(), text.size())))));
    return text;
  }

  FakeRemoteFs server_;
  FakeDialer dialer_{server_};
  Link link_{dialer_, dialer_.Connect(), Quick(), [] { return 0.5; }};
  ReconnectingFs fs_{link_};
};

constexpr OpenFlags kRead{.read = true};
constexpr OpenFlags kWrite{.write = true};
constexpr OpenFlags kReadWrite{.read = true, .write = true};
constexpr OpenFlags kAppend{.write = true, .append = true};

// Each operation once, and what it must leave behind.
struct Case {
  std::string name;
  FakeOp op;
  std::function<std::string(ReconnectingFs&)> run;  // what the program sees: "ok", data, or the code
  std::string expected;
  std::function<std::string(const FakeRemoteFs&)> left;  // on the server
  std::string expected_left;
};

template <typename T>
std::string Said(const Result<T>& result) {
  return result.ok() ? "ok" : std::string(CodeName(result.error().code));
}

std::string NothingLeft(const FakeRemoteFs&) { return ""; }

std::string OnFile(ReconnectingFs& fs, const OpenFlags& flags, const std::function<std::string(RemoteFile&)>& use) {
  auto opened = fs.Open(Soon(), P("/a"), flags, 0);
  return opened ? use(*opened->file) : Said(opened);
}

std::vector<Case> Cases() {
  using Fs = ReconnectingFs;
  const auto a = [](const FakeRemoteFs& s) { return s.ReadFile("/a"); };
  const auto exists = [](const std::string& path) {
    return [path](const FakeRemoteFs& s) { return std::string(s.Exists(path) ? "there" : "gone"); };
  };
  return {
      {"lstat", FakeOp::kLstat, [](Fs& fs) { return Said(fs.Lstat(Soon(), P("/a"))); }, "ok", NothingLeft, ""},
      {"stat", FakeOp::kStat, [](Fs& fs) { return Said(fs.Stat(Soon(), P("/a"))); }, "ok", NothingLeft, ""},
      {"readdir", FakeOp::kReadDirectory,
       [](Fs& fs) {
         const auto list = fs.ReadDirectory(Soon(), P("/"));
         return list ? std::to_string(list->size()) : Said(list);
       },
       "3", NothingLeft, ""},
      {"readlink", FakeOp::kReadLink, [](Fs& fs) { return fs.ReadLink(Soon(), P("/l")).value(); }, "a", NothingLeft,
       ""},
      {"statvfs", FakeOp::kStatFs, [](Fs& fs) { return Said(fs.StatFs(Soon(), P("/"))); }, "ok", NothingLeft, ""},
      {"realpath", FakeOp::kRealPath, [](Fs& fs) { return Said(fs.RealPath(Soon(), "d")); }, "ok", NothingLeft, ""},
      {"open", FakeOp::kOpen, [](Fs& fs) { return Said(fs.Open(Soon(), P("/a"), kRead, 0)); }, "ok", NothingLeft, ""},
      {"open and truncate", FakeOp::kOpen,
       [](Fs& fs) { return Said(fs.Open(Soon(), P("/a"), OpenFlags{.write = true, .truncate = true}, 0)); }, "ok", a,
       ""},
      {"create", FakeOp::kOpen,
       [](Fs& fs) {
         auto made = fs.Open(Soon(), P("/n"), OpenFlags{.write = true, .create = true, .exclusive = true}, 0644);
         return made ? Said(made->file->Write(Soon(), 0, Bytes("x"))) : Said(made);
       },
       "ok", [](const FakeRemoteFs& s) { return s.ReadFile("/n"); }, "x"},
      {"create what exists", FakeOp::kOpen,
       [](Fs& fs) {
         return Said(fs.Open(Soon(), P("/a"), OpenFlags{.write = true, .create = true, .exclusive = true}, 0644));
       },
       "", a, "hello"},
      {"read", FakeOp::kRead,
       [](Fs& fs) {
         return OnFile(fs, kRead, [](RemoteFile& file) {
           std::string text(10, '\0');
           const auto got = file.Read(Soon(), 1, std::as_writable_bytes(std::span(text.data(), text.size())));
           return got ? text.substr(0, *got) : Said(got);
         });
       },
       "ello", a, "hello"},
      {"write", FakeOp::kWrite,
       [](Fs& fs) {
         return OnFile(fs, kWrite, [](RemoteFile& file) { return Said(file.Write(Soon(), 3, Bytes("LOW"))); });
       },
       "ok", a, "helLOW"},
      {"append", FakeOp::kWrite,
       [](Fs& fs) {
         return OnFile(fs, kAppend, [](RemoteFile& file) { return Said(file.Write(Soon(), 0, Bytes(" you"))); });
       },
       "ok", a, "hello you"},
      {"fstat", FakeOp::kFileStat,
       [](Fs& fs) { return OnFile(fs, kRead, [](RemoteFile& file) { return Said(file.Stat(Soon())); }); }, "ok",
       NothingLeft, ""},
      {"fsync", FakeOp::kSync,
       [](Fs& fs) { return OnFile(fs, kWrite, [](RemoteFile& file) { return Said(file.Sync(Soon())); }); }, "ok",
       NothingLeft, ""},
      {"ftruncate after reading", FakeOp::kFileSetAttributes,
       [](Fs& fs) {
         return OnFile(fs, kReadWrite, [](RemoteFile& file) {
           std::array<std::byte, 5> all;
           EXPECT_TRUE(file.Read(Soon(), 0, all).ok());
           AttributeChange change;
           change.size = 2;
           return Said(file.SetAttributes(Soon(), change));
         });
       },
       "ok", a, "he"},
      {"setstat", FakeOp::kSetAttributes,
       [](Fs& fs) {
         AttributeChange change;
         change.permissions = 0600;
         return Said(fs.SetAttributes(Soon(), P("/a"), change));
       },
       "ok", [](const FakeRemoteFs& s) { return fmt::format("{:o}", s.AttributesOf("/a").mode & 07777U); }, "600"},
      {"mkdir", FakeOp::kMakeDirectory, [](Fs& fs) { return Said(fs.MakeDirectory(Soon(), P("/m"), 0755)); }, "ok",
       exists("/m"), "there"},
      {"symlink", FakeOp::kMakeSymlink, [](Fs& fs) { return Said(fs.MakeSymlink(Soon(), P("/s"), "to")); }, "ok",
       exists("/s"), "there"},
      {"link", FakeOp::kMakeHardLink, [](Fs& fs) { return Said(fs.MakeHardLink(Soon(), P("/a"), P("/h"))); }, "ok",
       exists("/h"), "there"},
      {"unlink", FakeOp::kRemoveFile, [](Fs& fs) { return Said(fs.RemoveFile(Soon(), P("/a"))); }, "ok", exists("/a"),
       "gone"},
      {"rmdir", FakeOp::kRemoveDirectory, [](Fs& fs) { return Said(fs.RemoveDirectory(Soon(), P("/d"))); }, "ok",
       exists("/d"), "gone"},
      {"rename", FakeOp::kRename,
       [](Fs& fs) { return Said(fs.Rename(Soon(), P("/a"), P("/b"), RenameMode::kReplace)); }, "ok", exists("/b"),
       "there"},
      {"rename without replacing", FakeOp::kRename,
       [](Fs& fs) { return Said(fs.Rename(Soon(), P("/a"), P("/b"), RenameMode::kNoReplace)); }, "ok", exists("/a"),
       "gone"},
      {"copy", FakeOp::kCopyRange,
       [](Fs& fs) {
         auto from = fs.Open(Soon(), P("/a"), kRead, 0);
         auto to = fs.Open(Soon(), P("/c"), OpenFlags{.write = true, .create = true}, 0644);
         return Said(fs.CopyRange(Soon(), *from->file, 0, *to->file, 0, 5));
       },
       "ok", [](const FakeRemoteFs& s) { return s.ReadFile("/c"); }, "hello"},
  };
}

class EachOperation : public testing::TestWithParam<Case> {
 protected:
  void Check(const Fault& fault) {
    FakeRemoteFs server;
    server.WriteFile("/a", "hello");
    server.MakeDirs("/d");
    server.MakeLink("/l", "a");
    FakeDialer dialer(server);
    Link link(dialer, dialer.Connect(), Quick(), [] { return 0.5; });
    ReconnectingFs fs(link);
    server.script().OnNextCall(GetParam().op, fault);
    const std::string said = GetParam().run(fs);
    if (!GetParam().expected.empty()) {
      EXPECT_EQ(said, GetParam().expected);
    } else {
      EXPECT_NE(said, "ok");
    }
    EXPECT_EQ(GetParam().left(server), GetParam().expected_left);
    EXPECT_EQ(dialer.dials(), 1);
  }
};

TEST_P(EachOperation, IsDoneOnceWhenItsRequestWasNeverSent) { Check(Fault::NotDone()); }
TEST_P(EachOperation, IsDoneOnceWhenItsRequestIsLost) { Check(Fault::NotDone(kCut)); }
TEST_P(EachOperation, IsDoneOnceWhenItsReplyIsLost) { Check(Fault::ReplyLost()); }

INSTANTIATE_TEST_SUITE_P(Reconnect, EachOperation, testing::ValuesIn(Cases()), [](const auto& test) {
  std::string name = test.param.name;
  std::replace(name.begin(), name.end(), ' ', '_');
  return name;
});

TEST_F(ReconnectingFsTest, RequestThatTheOldServerDidLateIsNotDoneTwice) {
  // The look finds the source still there; then the old server gets to it, and the repeated request finds it gone.
  server_.script().OnCall(1, FakeOp::kRename, Fault::NotDone(kCut));
  server_.script().OnCall(2, FakeOp::kRename, Fault::Do([this] { server_.Move("/a", "/b"); }));
  EXPECT_TRUE(fs_.Rename(Soon(), P("/a"), P("/b"), RenameMode::kReplace).ok());
  EXPECT_EQ(server_.ReadFile("/b"), "hello");
}

TEST_F(ReconnectingFsTest, WhatLookingCannotDecideIsAnError) {
  server_.script().OnNextCall(FakeOp::kRename, After([this] { server_.Remove("/a"); }, Fault::NotDone(kCut)));
  const Status renamed = fs_.Rename(Soon(), P("/a"), P("/b"), RenameMode::kReplace);
  ASSERT_FALSE(renamed.ok());
  EXPECT_EQ(renamed.error().tag, "reconnect.unknown-outcome");
}

TEST_F(ReconnectingFsTest, MkdirDoesNotClaimAFullDirectory) {
  server_.script().OnNextCall(FakeOp::kMakeDirectory,
                              After([this] { server_.WriteFile("/m/file", "x"); }, Fault::NotDone(kCut)));
  EXPECT_EQ(fs_.MakeDirectory(Soon(), P("/m"), 0755).error().tag, "reconnect.unknown-outcome");
}

TEST_F(ReconnectingFsTest, HandleIsOpenedAgain) {
  const auto file = Open("/a", kReadWrite);
  ASSERT_EQ(Read(*file).value(), "hello");
  Lose();
  EXPECT_EQ(Read(*file, 1).value(), "ello");
  EXPECT_EQ(server_.script().count(FakeOp::kOpen), 2U);
  EXPECT_EQ(server_.open_files(), 1U);  // the old one is let go
}

TEST_F(ReconnectingFsTest, IdleHandleIsLetGoWithItsConnection) {
  const auto file = Open("/a", kRead);
  const std::weak_ptr<FakeSession> old = dialer_.latest();
  Lose();
  ASSERT_TRUE(fs_.Lstat(Soon(), P("/a")).ok());
  EXPECT_EQ(server_.open_files(), 0U);
  EXPECT_TRUE(old.expired());
  EXPECT_EQ(Read(*file).value(), "hello");
}

TEST_F(ReconnectingFsTest, CreatedHandleIsOpenedAgainWithoutCreatingOrTruncating) {
  const auto file =
      Open("/new", OpenFlags{.read = true, .write = true, .create = true, .exclusive = true, .truncate = true});
  ASSERT_TRUE(file->Write(Soon(), 0, Bytes("data")).ok());
  Lose();
  EXPECT_EQ(Read(*file).value(), "data");
}

TEST_F(ReconnectingFsTest, HandleFollowsARenameOfItsDirectory) {
  server_.WriteFile("/d/x", "deep");
  const auto file = Open("/d/x", kRead);
  ASSERT_TRUE(fs_.Rename(Soon(), P("/d"), P("/e"), RenameMode::kReplace).ok());
  Lose();
  EXPECT_EQ(Read(*file).value(), "deep");
}

TEST_F(ReconnectingFsTest, HandleWaitsForARenameWhoseReplyIsLost) {
  const auto file = Open("/a", kRead);
  server_.script().OnNextCall(FakeOp::kRename, Fault::ReplyLost());
  server_.script().Hold(FakeOp::kLstat);  // the look
  auto renaming =
      std::async(std::launch::async, [&] { return fs_.Rename(Soon(), P("/a"), P("/b"), RenameMode::kReplace); });
  ASSERT_TRUE(server_.script().WaitUntilHeld(FakeOp::kLstat, 1));
  auto reading = std::async(std::launch::async, [&] { return Read(*file); });
  EXPECT_EQ(reading.wait_for(milliseconds(50)), std::future_status::timeout);
  server_.script().Release(FakeOp::kLstat);
  EXPECT_TRUE(renaming.get().ok());
  EXPECT_EQ(reading.get().value(), "hello");
}

TEST_F(ReconnectingFsTest, ReplacedFileIsStaleOnThatHandleAloneAndForGood) {
  const auto file = Open("/a", kRead);
  server_.WriteFile("/other", "same");
  const auto other = Open("/other", kRead);
  ASSERT_EQ(Read(*file).value(), "hello");
  Lose();
  server_.AdvanceClock(10);
  server_.Remove("/a");
  server_.WriteFile("/a", "HELLO");
  EXPECT_EQ(Read(*file).error().code, Code::kStale);
  EXPECT_EQ(Read(*other).value(), "same");
  EXPECT_EQ(Read(*file).error().code, Code::kStale);
  EXPECT_EQ(Read(*Open("/a", kRead)).value(), "HELLO");
}

TEST_F(ReconnectingFsTest, FileThatIsGoneIsStaleAndNotAbsent) {
  const auto file = Open("/a", kRead);
  server_.Remove("/a");
  Lose();
  EXPECT_EQ(Read(*file).error().code, Code::kStale);
}

TEST_F(ReconnectingFsTest, LogThatGrewGoesOn) {
  const auto file = Open("/a", kRead);
  ASSERT_EQ(Read(*file).value(), "hello");
  server_.AdvanceClock(10);
  server_.AppendFile("/a", " more");
  Lose();
  EXPECT_EQ(Read(*file, 5).value(), " more");
}

TEST_F(ReconnectingFsTest, OwnWritesThroughAnotherHandleDoNotMakeAReaderStale) {
  const auto reader = Open("/a", kRead);
  const auto writer = Open("/a", kWrite);
  ASSERT_EQ(Read(*reader).value(), "hello");
  server_.AdvanceClock(10);
  ASSERT_TRUE(writer->Write(Soon(), 0, Bytes("HELLO")).ok());
  Lose();
  EXPECT_EQ(Read(*reader).value(), "HELLO");
}

TEST_F(ReconnectingFsTest, OwnTruncationByPathDoesNotMakeAReaderStale) {
  const auto reader = Open("/a", kRead);
  ASSERT_EQ(Read(*reader).value(), "hello");
  server_.AdvanceClock(10);
  AttributeChange change;
  change.size = 2;
  server_.script().OnNextCall(FakeOp::kSetAttributes, Fault::ReplyLost());
  ASSERT_TRUE(fs_.SetAttributes(Soon(), P("/a"), change).ok());
  EXPECT_EQ(Read(*reader).value(), "he");
}

TEST_F(ReconnectingFsTest, AppendFindsItsBytesAmongThoseOfOthers) {
  const auto file = Open("/a", kAppend);
  server_.script().OnNextCall(FakeOp::kWrite,
                              After([this] { server_.AppendFile("/a", " [other]"); }, Fault::ReplyLost(kCut)));
  ASSERT_TRUE(file->Write(Soon(), 0, Bytes(" mine")).ok());
  EXPECT_EQ(server_.ReadFile("/a"), "hello [other] mine");
}

TEST_F(ReconnectingFsTest, AppendThatDidNotArriveIsSentBehindThoseOfOthers) {
  const auto file = Open("/a", kAppend);
  server_.script().OnNextCall(FakeOp::kWrite,
                              After([this] { server_.AppendFile("/a", " [other]"); }, Fault::NotDone(kCut)));
  ASSERT_TRUE(file->Write(Soon(), 0, Bytes(" mine")).ok());
  EXPECT_EQ(server_.ReadFile("/a"), "hello [other] mine");
}

TEST_F(ReconnectingFsTest, AppendThatArrivedInPartIsCompleted) {
  const auto file = Open("/a", kAppend);
  server_.script().OnNextCall(FakeOp::kWrite, Fault::CutAfter(3));
  ASSERT_TRUE(file->Write(Soon(), 0, Bytes(" mine")).ok());
  EXPECT_EQ(server_.ReadFile("/a"), "hello mine");
}

TEST_F(ReconnectingFsTest, AppenderSurvivesOtherAppenders) {
  const auto file = Open("/a", kAppend);
  ASSERT_TRUE(file->Write(Soon(), 0, Bytes("1")).ok());
  server_.AppendFile("/a", "[other]");
  ASSERT_TRUE(file->Write(Soon(), 0, Bytes("2")).ok());
  server_.AppendFile("/a", "[other]");
  Lose();
  ASSERT_TRUE(file->Write(Soon(), 0, Bytes("3")).ok());
  EXPECT_EQ(server_.ReadFile("/a"), "hello1[other]2[other]3");
}

TEST_F(ReconnectingFsTest, AnotherContainerMakesHandlesStaleAndReplaysNothing) {
  const auto file = Open("/a", kReadWrite);
  dialer_.SetHostKey("SHA256:two");
  server_.script().OnNextCall(FakeOp::kWrite, Fault::NotDone(kCut));
  EXPECT_EQ(file->Write(Soon(), 0, Bytes("WRONG")).error().code, Code::kStale);
  EXPECT_EQ(server_.ReadFile("/a"), "hello");
  EXPECT_EQ(Read(*file).error().code, Code::kStale);
  EXPECT_EQ(Read(*Open("/a", kRead)).value(), "hello");
}

TEST_F(ReconnectingFsTest, AnotherContainerDoesNotGetARequestWhoseFateIsUnknown) {
  dialer_.SetHostKey("SHA256:two");
  server_.script().OnNextCall(FakeOp::kRemoveFile, Fault::NotDone(kCut));
  EXPECT_EQ(fs_.RemoveFile(Soon(), P("/a")).error().code, Code::kStale);
  EXPECT_TRUE(server_.Exists("/a"));
}

TEST_F(ReconnectingFsTest, DeadlineEndsAnOperationOnADeadLink) {
  dialer_.Hold(true);
  Lose();
  const auto answer = fs_.Lstat(OpContext::WithTimeout(milliseconds(20)), P("/a"));
  EXPECT_EQ(answer.error().code, Code::kTimedOut);
}

TEST_F(ReconnectingFsTest, GarbageIsNotAskedForForEver) {
  server_.script().OnEveryCall(FakeOp::kStat,
                               Fault::NotDone({Code::kProtocol, "garbage", "sftp.bad-packet", Fate::kUnknown}));
  EXPECT_EQ(fs_.Stat(Soon(), P("/a")).error().code, Code::kProtocol);
  EXPECT_EQ(server_.script().count(FakeOp::kStat), 3U);
}

TEST_F(ReconnectingFsTest, AnswersOfTheServerAreFinal) {
  EXPECT_EQ(fs_.Lstat(Soon(), P("/nothing")).error().code, Code::kNotFound);
  EXPECT_EQ(dialer_.dials(), 0);
}

}  // namespace
}  // namespace bt
