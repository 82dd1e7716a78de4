// Reading and writing through open files.
#include "tests/contract/contract_test.h"

namespace bt::contract {
namespace {

BT_CONTRACT_SUITE(ReadWrite, FullBackends);

TEST_P(ReadWrite, ReadsWhatTheServerHas) {
  server().WriteFile(P("a"), "hello");
  const auto file = Open(P("a"), kRead);
  ASSERT_TRUE(file);
  EXPECT_EQ(ReadAt(*file, 0, 5), "hello");
  EXPECT_EQ(ReadAt(*file, 1, 3), "ell");
}

TEST_P(ReadWrite, WritesWhatTheServerSees) {
  const auto file = Open(P("a"), kCreate);
  ASSERT_TRUE(file);
  EXPECT_TRUE(Succeeds(WriteAt(*file, 0, "hello")));
  EXPECT_EQ(server().ReadFile(P("a")), "hello");
  EXPECT_TRUE(Succeeds(WriteAt(*file, 1, "ipp")));
  EXPECT_EQ(server().ReadFile(P("a")), "hippo");
}

TEST_P(ReadWrite, ReadsFewerBytesOnlyAtTheEnd) {
  server().WriteFile(P("a"), "0123456789");
  const auto file = Open(P("a"), kRead);
  ASSERT_TRUE(file);
  EXPECT_EQ(ReadAt(*file, 0, 100), "0123456789");
  EXPECT_EQ(ReadAt(*file, 7, 100), "789");
  EXPECT_EQ(ReadAt(*file, 9, 1), "9");
}

TEST_P(ReadWrite, ReadsNothingAtAndBehindTheEnd) {
  server().WriteFile(P("a"), "0123456789");
  const auto file = Open(P("a"), kRead);
  ASSERT_TRUE(file);
  for (const std::uint64_t offset : {10_KiB, 5_GiB, std::uint64_t{10}, std::uint64_t{11}}) {
    EXPECT_EQ(ReadAt(*file, offset, 100), "") << offset;
  }
}

TEST_P(ReadWrite, EmptyFileReadsAsNothing) {
  server().WriteFile(P("a"), "");
  const auto file = Open(P("a"), kRead);
  ASSERT_TRUE(file);
  EXPECT_EQ(ReadAt(*file, 0, 100), "");
}

TEST_P(ReadWrite, ZeroBytesAreNoWork) {
  server().WriteFile(P("a"), "abc");
  const auto file = Open(P("a"), kReadWrite);
  ASSERT_TRUE(file);
  EXPECT_EQ(ReadAt(*file, 0, 0), "");
  EXPECT_EQ(ReadAt(*file, 3, 0), "");
  EXPECT_TRUE(Succeeds(WriteAt(*file, 0, "")));
  EXPECT_TRUE(Succeeds(WriteAt(*file, 100, "")));
  EXPECT_EQ(server().ReadFile(P("a")), "abc");
}

TEST_P(ReadWrite, SeesGrowthOfAnOpenFile) {
  server().WriteFile(P("log"), "one\n");
  const auto file = Open(P("log"), kRead);
  ASSERT_TRUE(file);
  EXPECT_EQ(ReadAt(*file, 0, 100), "one\n");
  EXPECT_EQ(ReadAt(*file, 4, 100), "");
  server().AppendFile(P("log"), "two\n");
  EXPECT_EQ(ReadAt(*file, 4, 100), "two\n");
  EXPECT_EQ(ReadAt(*file, 0, 100), "one\ntwo\n");
}

TEST_P(ReadWrite, SeesShrinkageOfAnOpenFile) {
  server().WriteFile(P("a"), Pattern(300'000));
  const auto file = Open(P("a"), kRead);
  ASSERT_TRUE(file);
  EXPECT_EQ(ReadAt(*file, 0, 400'000).size(), 300'000U);
  server().WriteFile(P("a"), "short");
  EXPECT_EQ(ReadAt(*file, 0, 400'000), "short");
  EXPECT_EQ(ReadAt(*file, 100'000, 400'000), "");
}

TEST_P(ReadWrite, GapsReadAsZeros) {
  const auto file = Open(P("a"), kCreate);
  ASSERT_TRUE(file);
  EXPECT_TRUE(Succeeds(WriteAt(*file, 1000, "end")));
  EXPECT_EQ(ReadAt(*file, 0, 2000), std::string(1000, '\0') + "end");
  EXPECT_EQ(server().ReadFile(P("a")), std::string(1000, '\0') + "end");
}

TEST_P(ReadWrite, WorksBeyond4GiB) {
  const auto file = Open(P("big"), kCreate);
  ASSERT_TRUE(file);
  EXPECT_TRUE(Succeeds(WriteAt(*file, 5_GiB, "tail")));
  EXPECT_TRUE(Succeeds(WriteAt(*file, 4_GiB - 2, "edge")));
  EXPECT_EQ(server().Lstat(P("big")).size, 5_GiB + 4);
  EXPECT_EQ(MustLstat(P("big")).size, 5_GiB + 4);
  EXPECT_EQ(ReadAt(*file, 5_GiB, 100), "tail");
  EXPECT_EQ(ReadAt(*file, 5_GiB + 2, 100), "il");
  EXPECT_EQ(ReadAt(*file, 4_GiB - 3, 6), std::string("\0edge\0", 6));
  EXPECT_EQ(ReadAt(*file, 5_GiB - 2, 4), std::string("\0\0ta", 4));
  EXPECT_EQ(ReadAt(*file, 3_GiB, 10), std::string(10, '\0'));
  EXPECT_EQ(ReadAt(*file, 5_GiB + 4, 10), "");
}

TEST_P(ReadWrite, OffsetsNoFileCanHaveAreErrors) {
  server().WriteFile(P("a"), "abc");
  const auto file = Open(P("a"), kReadWrite);
  ASSERT_TRUE(file);
  std::vector<std::byte> buffer(10);
  EXPECT_TRUE(Fails(file->Read(Ctx(), std::uint64_t{1} << 63U, buffer), Code::kInvalid));
  EXPECT_FALSE(WriteAt(*file, std::uint64_t{1} << 63U, "x").ok());
  EXPECT_EQ(server().ReadFile(P("a")), "abc");
}

TEST_P(ReadWrite, TransfersAsManyBytesAsAsked) {
  // 8 MiB and a bit: many requests of every limit, the last of them odd.
  const std::string content = Pattern(8_MiB + 12345);
  const auto file = Open(P("a"), kCreate);
  ASSERT_TRUE(file);
  EXPECT_TRUE(Succeeds(WriteAt(*file, 0, content)));
  EXPECT_TRUE(server().ReadFile(P("a")) == content);
  EXPECT_TRUE(ReadAt(*file, 0, content.size()) == content);
  EXPECT_TRUE(ReadAt(*file, 777, content.size()) == content.substr(777)) << "ends at the end of the file";
  EXPECT_TRUE(ReadAt(*file, 1_MiB + 1, 3_MiB) == content.substr(1_MiB + 1, 3_MiB));
}

TEST_P(ReadWrite, TransfersAtEveryBorderOfARequest) {
  const std::size_t piece = fs().capabilities().max_read;
  const std::string content = Pattern(3 * piece);
  server().WriteFile(P("a"), content);
  const auto file = Open(P("a"), kReadWrite);
  ASSERT_TRUE(file);
  for (const std::size_t size : {piece - 1, piece, piece + 1, 2 * piece, 2 * piece + 1, 3 * piece, 3 * piece + 1}) {
    EXPECT_TRUE(ReadAt(*file, 0, size) == content.substr(0, size)) << size;
  }
  const std::size_t write_piece = fs().capabilities().max_write;
  for (const std::size_t size : {write_piece - 1, write_piece, write_piece + 1, 2 * write_piece + 1}) {
    const std::string text = Pattern(size, static_cast<std::uint32_t>(size));
    const auto fresh = Open(P("b"), kRewrite);
    EXPECT_TRUE(Succeeds(WriteAt(*fresh, 0, text)));
    EXPECT_TRUE(server().ReadFile(P("b")) == text) << size;
  }
}

TEST_P(ReadWrite, AppendIgnoresOffsets) {
  server().WriteFile(P("log"), "one\n");
  const auto file = Open(P("log"), kAppend);
  ASSERT_TRUE(file);
  EXPECT_TRUE(Succeeds(WriteAt(*file, 0, "two\n")));
  server().AppendFile(P("log"), "three\n");
  EXPECT_TRUE(Succeeds(WriteAt(*file, 1, "four\n")));
  EXPECT_EQ(server().ReadFile(P("log")), "one\ntwo\nthree\nfour\n");
  EXPECT_EQ(ReadAt(*file, 4, 4), "two\n") << "reading does not ignore them";
}

TEST_P(ReadWrite, AppendKeepsTheOrderOfABigWrite) {
  server().WriteFile(P("log"), "head");
  const std::string content = Pattern(1_MiB + 5);
  const auto file = Open(P("log"), kAppend);
  ASSERT_TRUE(file);
  EXPECT_TRUE(Succeeds(WriteAt(*file, 0, content)));
  EXPECT_TRUE(server().ReadFile(P("log")) == "head" + content);
}

TEST_P(ReadWrite, HandleThatIsNotForThisUseIsABadHandle) {
  server().WriteFile(P("a"), "abc");
  const auto reader = Open(P("a"), kRead);
  const auto writer = Open(P("a"), kWrite);
  ASSERT_TRUE(reader && writer);
  std::vector<std::byte> buffer(10);
  EXPECT_TRUE(Fails(writer->Read(Ctx(), 0, buffer), Code::kBadHandle));
  EXPECT_TRUE(Fails(WriteAt(*reader, 0, "x"), Code::kBadHandle));
  EXPECT_EQ(server().ReadFile(P("a")), "abc");
}

TEST_P(ReadWrite, SyncSucceeds) {
  const auto file = Open(P("a"), kCreate);
  ASSERT_TRUE(file);
  EXPECT_TRUE(Succeeds(WriteAt(*file, 0, "x")));
  EXPECT_TRUE(Succeeds(file->Sync(Ctx())));
}

TEST_P(ReadWrite, StatOfAnOpenFileFollowsItsWrites) {
  const auto file = Open(P("a"), kCreate);
  ASSERT_TRUE(file);
  EXPECT_TRUE(Succeeds(WriteAt(*file, 0, "12345")));
  const Result<Attributes> seen = file->Stat(Ctx());
  ASSERT_TRUE(Succeeds(seen));
  EXPECT_EQ(seen->size, 5U);
  EXPECT_TRUE(seen->is_regular());
  EXPECT_EQ(seen.value(), MustLstat(P("a")));
}

TEST_P(ReadWrite, WriteAndChangeDoesBothInOrderAndLooks) {
  const auto file = Open(P("a"), kCreate);
  ASSERT_TRUE(file);
  AttributeChange change = PermissionsChange(0640);
  change.times = AttributeChange::Times{1000, 2000};
  const std::string text = Pattern(700'000);
  const auto seen = file->WriteAndChange(Ctx(), 5, Bytes(text), change);
  ASSERT_TRUE(Succeeds(seen));
  ASSERT_TRUE(seen->has_value());
  EXPECT_EQ(**seen, MustLstat(P("a")));
  EXPECT_EQ((*seen)->size, 700'005U);
  EXPECT_EQ((*seen)->mtime, 2000);
  EXPECT_EQ((*seen)->mode & 07777U, 0640U);
  EXPECT_EQ(server().ReadFile(P("a")), std::string(5, '\0') + text);

  const auto looked = file->WriteAndChange(Ctx(), 0, {}, {});
  ASSERT_TRUE(Succeeds(looked));
  EXPECT_EQ((*looked)->mtime, 2000);  // and not the time of access, which reading the file above may have moved
  EXPECT_EQ((*looked)->size, (*seen)->size);
  EXPECT_EQ((*looked)->mode, (*seen)->mode);
}

TEST_P(ReadWrite, WriteAndChangeToAHandleForReadingFails) {
  server().WriteFile(P("a"), "old");
  const auto file = Open(P("a"), kRead);
  ASSERT_TRUE(file);
  EXPECT_TRUE(Fails(file->WriteAndChange(Ctx(), 0, Bytes("new"), {}), Code::kBadHandle));
  EXPECT_EQ(server().ReadFile(P("a")), "old");
}

TEST_P(ReadWrite, WriteAndChangeAppends) {
  server().WriteFile(P("a"), "one");
  const auto file = Open(P("a"), kAppend);
  ASSERT_TRUE(file);
  const auto seen = file->WriteAndChange(Ctx(), 0, Bytes("two"), PermissionsChange(0600));
  ASSERT_TRUE(Succeeds(seen));
  EXPECT_EQ((*seen)->size, 6U);
  EXPECT_EQ(server().ReadFile(P("a")), "onetwo");
}

TEST_P(ReadWrite, OpenFileSurvivesItsRemoval) {
  server().WriteFile(P("a"), "hello");
  const auto file = Open(P("a"), kReadWrite);
  ASSERT_TRUE(file);
  ASSERT_TRUE(Succeeds(fs().RemoveFile(Ctx(), P("a"))));
  EXPECT_FALSE(server().Exists(P("a")));
  EXPECT_EQ(ReadAt(*file, 0, 5), "hello");
  EXPECT_TRUE(Succeeds(WriteAt(*file, 5, " world")));
  EXPECT_EQ(ReadAt(*file, 0, 100), "hello world");
  EXPECT_EQ(file->Stat(Ctx()).value().size, 11U);
  EXPECT_TRUE(Succeeds(file->SetAttributes(Ctx(), SizeChange(2))));
  EXPECT_EQ(ReadAt(*file, 0, 100), "he");
  EXPECT_FALSE(server().Exists(P("a")));
}

TEST_P(ReadWrite, OpenFileIsNotTheNewOneOfItsName) {
  server().WriteFile(P("a"), "old");
  const auto file = Open(P("a"), kReadWrite);
  ASSERT_TRUE(file);
  server().Remove(P("a"));
  server().WriteFile(P("a"), "new");
  EXPECT_EQ(ReadAt(*file, 0, 100), "old");
  EXPECT_TRUE(Succeeds(WriteAt(*file, 0, "OLD")));
  EXPECT_EQ(server().ReadFile(P("a")), "new");
}

TEST_P(ReadWrite, OpenFileFollowsItsRename) {
  server().WriteFile(P("a"), "hello");
  const auto file = Open(P("a"), kReadWrite);
  ASSERT_TRUE(file);
  ASSERT_TRUE(Succeeds(fs().Rename(Ctx(), P("a"), P("b"), RenameMode::kReplace)));
  EXPECT_TRUE(Succeeds(WriteAt(*file, 0, "J")));
  EXPECT_EQ(server().ReadFile(P("b")), "Jello");
}

TEST_P(ReadWrite, TwoHandlesSeeEachOthersWrites) {
  const auto first = Open(P("a"), kCreate);
  const auto second = Open(P("a"), kReadWrite);
  ASSERT_TRUE(first && second);
  EXPECT_TRUE(Succeeds(WriteAt(*first, 0, "abc")));
  EXPECT_EQ(ReadAt(*second, 0, 10), "abc");
  EXPECT_TRUE(Succeeds(WriteAt(*second, 3, "def")));
  EXPECT_EQ(ReadAt(*first, 0, 10), "abcdef");
}

TEST_P(ReadWrite, ManyFilesMayBeOpen) {
  std::vector<std::unique_ptr<RemoteFile>> files;
  for (int i = 0; i < 200; ++i) {
    files.push_back(Open(P("f" + std::to_string(i)), kCreate));
    ASSERT_TRUE(files.back());
    EXPECT_TRUE(Succeeds(WriteAt(*files.back(), 0, std::to_string(i))));
  }
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(ReadAt(*files[static_cast<std::size_t>(i)], 0, 10), std::to_string(i));
  }
}

TEST_P(ReadWrite, ClosedFilesGiveTheirHandlesBack) {
  // More than the 1,024 descriptors that many servers may have.
  server().WriteFile(P("a"), "x");
  for (int i = 0; i < 1500; ++i) {
    ASSERT_TRUE(Open(P("a"), kRead)) << i;
  }
}

}  // namespace
}  // namespace bt::contract
