// Copying on the server; and what is left where a server offers no extension.
#include "tests/contract/contract_test.h"

namespace bt::contract {
namespace {

class CopyRange : public ContractTest {
 protected:
  void SetUp() override {
    server().WriteFile(P("from"), content_);
    from_ = Open(P("from"), kRead);
    to_ = Open(P("to"), kCreate);
    ASSERT_TRUE(from_ && to_);
  }

  Result<std::uint64_t> Copy(std::uint64_t from_offset, std::uint64_t to_offset, std::uint64_t length) {
    return fs().CopyRange(Ctx(), *from_, from_offset, *to_, to_offset, length);
  }

  const std::string content_ = Pattern(100'000);
  std::unique_ptr<RemoteFile> from_;
  std::unique_ptr<RemoteFile> to_;
};
INSTANTIATE_TEST_SUITE_P(, CopyRange, testing::ValuesIn(FullBackends()), KindName);

TEST_P(CopyRange, CopiesAWholeFile) {
  const Result<std::uint64_t> copied = Copy(0, 0, content_.size());
  ASSERT_TRUE(Succeeds(copied));
  EXPECT_EQ(copied.value(), content_.size());
  EXPECT_TRUE(server().ReadFile(P("to")) == content_);
}

TEST_P(CopyRange, CopiesFromAndToOffsets) {
  server().WriteFile(P("to"), "0123456789");
  EXPECT_EQ(Copy(50'000, 3, 4).value(), 4U);
  EXPECT_EQ(server().ReadFile(P("to")), "012" + content_.substr(50'000, 4) + "789");
}

TEST_P(CopyRange, StopsWhereTheSourceEnds) {
  EXPECT_EQ(Copy(99'990, 0, 1000).value(), 10U);
  EXPECT_EQ(server().ReadFile(P("to")), content_.substr(99'990));
  EXPECT_EQ(Copy(100'000, 10, 1000).value(), 0U);
  EXPECT_EQ(Copy(5_GiB, 10, 1000).value(), 0U);
  EXPECT_EQ(server().ReadFile(P("to")).size(), 10U);
}

TEST_P(CopyRange, OfEverythingThereIsStopsAtTheEnd) {
  EXPECT_EQ(Copy(0, 0, 1024_GiB).value(), content_.size());
  EXPECT_TRUE(server().ReadFile(P("to")) == content_);
}

TEST_P(CopyRange, OfNothingDoesNothing) {
  // A length of zero means "to the end" on the wire.
  EXPECT_EQ(Copy(0, 0, 0).value(), 0U);
  EXPECT_EQ(server().ReadFile(P("to")), "");
}

TEST_P(CopyRange, WorksBeyond4GiB) {
  EXPECT_EQ(Copy(10, 5_GiB, 20).value(), 20U);
  EXPECT_EQ(server().Lstat(P("to")).size, 5_GiB + 20);
  EXPECT_EQ(ReadAt(*to_, 5_GiB, 100), content_.substr(10, 20));
}

TEST_P(CopyRange, CopiesManyMegabytes) {
  const std::string big = Pattern(10_MiB + 7);
  server().WriteFile(P("from"), big);
  EXPECT_EQ(Copy(0, 0, 20_MiB).value(), big.size());
  EXPECT_TRUE(server().ReadFile(P("to")) == big);
}

TEST_P(CopyRange, WithinOneFileIsUnsupported) {
  // OpenSSH refuses it; a copy that overlaps itself would be wrong.
  const auto again = Open(P("from"), kReadWrite);
  ASSERT_TRUE(again);
  EXPECT_TRUE(Fails(fs().CopyRange(Ctx(), *from_, 0, *again, 200'000, 10), Code::kUnsupported));
  EXPECT_EQ(server().Lstat(P("from")).size, content_.size());
}

TEST_P(CopyRange, IntoAnAppendingFileIsUnsupported) {
  // The server would place the bytes at the end, not where they were asked for.
  const auto log = Open(P("log"), kAppend);
  ASSERT_TRUE(log);
  EXPECT_TRUE(Fails(fs().CopyRange(Ctx(), *from_, 0, *log, 0, 10), Code::kUnsupported));
  EXPECT_EQ(server().Lstat(P("log")).size, 0U);
}

TEST_P(CopyRange, WantsHandlesForThisUse) {
  const auto reader = Open(P("to"), kRead);
  const auto writer = Open(P("from"), kWrite);
  ASSERT_TRUE(reader && writer);
  EXPECT_TRUE(Fails(fs().CopyRange(Ctx(), *from_, 0, *reader, 0, 10), Code::kBadHandle));
  EXPECT_TRUE(Fails(fs().CopyRange(Ctx(), *writer, 0, *to_, 0, 10), Code::kBadHandle));
  EXPECT_EQ(server().ReadFile(P("to")), "");
}

BT_CONTRACT_SUITE(Capabilities, FullBackends);

TEST_P(Capabilities, AreAllThere) {
  const RemoteCapabilities offered = fs().capabilities();
  EXPECT_TRUE(offered.posix_rename);
  EXPECT_TRUE(offered.hardlink);
  EXPECT_TRUE(offered.fsync);
  EXPECT_TRUE(offered.statvfs);
  EXPECT_TRUE(offered.lsetstat);
  EXPECT_TRUE(offered.copy_data);
  EXPECT_GE(offered.max_read, 32_KiB);
  EXPECT_GE(offered.max_write, 32_KiB);
}

BT_CONTRACT_SUITE(BareServer, BareBackends);

TEST_P(BareServer, OffersNothing) {
  const RemoteCapabilities offered = fs().capabilities();
  EXPECT_FALSE(offered.posix_rename);
  EXPECT_FALSE(offered.hardlink);
  EXPECT_FALSE(offered.fsync);
  EXPECT_FALSE(offered.statvfs);
  EXPECT_FALSE(offered.lsetstat);
  EXPECT_FALSE(offered.copy_data);
  EXPECT_EQ(offered.max_read, 32_KiB);
  EXPECT_EQ(offered.max_write, 32_KiB);
}

TEST_P(BareServer, SaysSoInsteadOfPretending) {
  server().WriteFile(P("a"), "hello");
  const auto from = Open(P("a"), kReadWrite);
  const auto to = Open(P("b"), kCreate);
  ASSERT_TRUE(from && to);
  EXPECT_TRUE(Fails(from->Sync(Ctx()), Code::kUnsupported));
  EXPECT_TRUE(Fails(fs().StatFs(Ctx(), root()), Code::kUnsupported));
  EXPECT_TRUE(Fails(fs().MakeHardLink(Ctx(), P("a"), P("c")), Code::kUnsupported));
  EXPECT_TRUE(Fails(fs().CopyRange(Ctx(), *from, 0, *to, 0, 5), Code::kUnsupported));
  EXPECT_EQ(List(root()), (std::set<std::string>{"a", "b"}));
  EXPECT_EQ(server().ReadFile(P("b")), "");
}

TEST_P(BareServer, ChangesFilesButNoSymlinks) {
  server().WriteFile(P("a"), "hello");
  server().MakeLink(P("link"), "a");
  EXPECT_TRUE(Succeeds(fs().SetAttributes(Ctx(), P("a"), TimesChange(1000, 2000))));
  EXPECT_TRUE(Succeeds(fs().SetAttributes(Ctx(), P("a"), PermissionsChange(0600))));
  const Attributes target = server().Lstat(P("a"));
  EXPECT_EQ(target.mtime, 2000);
  EXPECT_EQ(target.mode, S_IFREG | 0600U);
  EXPECT_TRUE(Fails(fs().SetAttributes(Ctx(), P("link"), TimesChange(3000, 4000)), Code::kUnsupported));
  EXPECT_TRUE(Fails(fs().SetAttributes(Ctx(), P("link"), PermissionsChange(0644)), Code::kUnsupported));
  EXPECT_TRUE(Fails(fs().SetAttributes(Ctx(), P("link"), OwnerChange(1, 1)), Code::kUnsupported));
  EXPECT_TRUE(Fails(fs().SetAttributes(Ctx(), P("link"), SizeChange(0)), Code::kUnsupported));
  EXPECT_EQ(server().Lstat(P("a")), target);
}

TEST_P(BareServer, StillTellsErrorsApart) {
  server().WriteFile(P("file"), "x");
  server().MakeDirectory(P("full/below"));
  EXPECT_TRUE(Fails(fs().MakeDirectory(Ctx(), P("full"), 0755), Code::kExists));
  EXPECT_TRUE(Fails(fs().MakeSymlink(Ctx(), P("file"), "x"), Code::kExists));
  EXPECT_TRUE(Fails(fs().RemoveDirectory(Ctx(), P("full")), Code::kNotEmpty));
  EXPECT_TRUE(Fails(fs().RemoveDirectory(Ctx(), P("file")), Code::kNotDirectory));
  EXPECT_TRUE(Fails(fs().RemoveFile(Ctx(), P("full")), Code::kIsDirectory));
  EXPECT_TRUE(Fails(fs().ReadDirectory(Ctx(), P("file")), Code::kNotDirectory));
  EXPECT_TRUE(Fails(fs().Open(Ctx(), P("file"), kCreateNew, 0644), Code::kExists));
  EXPECT_TRUE(Fails(fs().Open(Ctx(), P("full"), kReadWrite, 0644), Code::kIsDirectory));
}

TEST_P(BareServer, TransfersInSmallerPieces) {
  const std::string content = Pattern(1_MiB + 1);
  const auto file = Open(P("a"), kCreate);
  ASSERT_TRUE(file);
  EXPECT_TRUE(Succeeds(WriteAt(*file, 0, content)));
  EXPECT_TRUE(server().ReadFile(P("a")) == content);
  EXPECT_TRUE(ReadAt(*file, 0, 2_MiB) == content);
}

}  // namespace
}  // namespace bt::contract
