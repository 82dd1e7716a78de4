// Looking at attributes and changing them, by path and by handle; and space of the file system.
#include "tests/contract/contract_test.h"

namespace bt::contract {
namespace {

BT_CONTRACT_SUITE(Stat, FullBackends);

TEST_P(Stat, TellsWhatTheServerKnows) {
  server().WriteFile(P("file"), "12345");
  server().MakeDirectory(P("dir"));
  for (const char* name : {"file", "dir"}) {
    EXPECT_EQ(fs().Lstat(Ctx(), P(name)).value(), server().Lstat(P(name))) << name;
    EXPECT_EQ(fs().Stat(Ctx(), P(name)).value(), server().Lstat(P(name))) << name;
  }
  EXPECT_TRUE(MustLstat(RemotePath()).is_directory());
}

TEST_P(Stat, OfNothingIsNotFound) {
  server().WriteFile(P("file"), "");
  for (const char* name : {"none", "none/a", "file/a"}) {
    EXPECT_TRUE(Fails(fs().Lstat(Ctx(), P(name)), Code::kNotFound)) << name;
    EXPECT_TRUE(Fails(fs().Stat(Ctx(), P(name)), Code::kNotFound)) << name;
  }
}

// By path and by handle, what is asked for is what is there.
class SetAttributes : public ContractTest {
 protected:
  Status Change(std::string_view name, const AttributeChange& change) {
    return fs().SetAttributes(Ctx(), P(name), change);
  }
};
INSTANTIATE_TEST_SUITE_P(, SetAttributes, testing::ValuesIn(FullBackends()), KindName);

TEST_P(SetAttributes, CutsAFile) {
  server().WriteFile(P("a"), "hello");
  EXPECT_TRUE(Succeeds(Change("a", SizeChange(2))));
  EXPECT_EQ(server().ReadFile(P("a")), "he");
  EXPECT_TRUE(Succeeds(Change("a", SizeChange(0))));
  EXPECT_EQ(server().ReadFile(P("a")), "");
}

TEST_P(SetAttributes, GrowsAFileWithZeros) {
  server().WriteFile(P("a"), "hello");
  EXPECT_TRUE(Succeeds(Change("a", SizeChange(2))));
  EXPECT_TRUE(Succeeds(Change("a", SizeChange(5))));
  EXPECT_EQ(server().ReadFile(P("a")), std::string("he\0\0\0", 5)) << "what was cut does not come back";
  EXPECT_TRUE(Succeeds(Change("a", SizeChange(6_GiB))));
  EXPECT_EQ(server().Lstat(P("a")).size, 6_GiB);
  const auto file = Open(P("a"), kRead);
  ASSERT_TRUE(file);
  EXPECT_EQ(ReadAt(*file, 6_GiB - 3, 10), std::string(3, '\0'));
}

TEST_P(SetAttributes, OfSizeWantsAFile) {
  server().MakeDirectory(P("d"));
  EXPECT_TRUE(Fails(Change("d", SizeChange(0)), Code::kIsDirectory));
  EXPECT_TRUE(Fails(Change("none", SizeChange(0)), Code::kNotFound));
}

TEST_P(SetAttributes, SetsEveryPermissionBit) {
  server().WriteFile(P("a"), "");
  server().MakeDirectory(P("d"));
  for (const std::uint32_t permissions : {0600U, 0755U, 0444U, 04755U, 02755U, 01777U, 07777U, 0U}) {
    EXPECT_TRUE(Succeeds(Change("a", PermissionsChange(permissions))));
    EXPECT_EQ(server().Lstat(P("a")).mode, S_IFREG | permissions);
    EXPECT_EQ(MustLstat(P("a")).mode, S_IFREG | permissions);
    EXPECT_TRUE(Succeeds(Change("d", PermissionsChange(permissions))));
    EXPECT_EQ(server().Lstat(P("d")).mode, S_IFDIR | permissions);
  }
  EXPECT_TRUE(Succeeds(Change("d", PermissionsChange(0755))));
}

TEST_P(SetAttributes, SetsTimes) {
  server().WriteFile(P("a"), "");
  server().MakeDirectory(P("d"));
  for (const char* name : {"a", "d"}) {
    EXPECT_TRUE(Succeeds(Change(name, TimesChange(1'000'000'000, 1'234'567'890)))) << name;
    const Attributes seen = MustLstat(P(name));
    EXPECT_EQ(seen.atime, 1'000'000'000);
    EXPECT_EQ(seen.mtime, 1'234'567'890);
    EXPECT_EQ(seen, server().Lstat(P(name)));
  }
}

TEST_P(SetAttributes, SetsTheFirstAndTheLastTime) {
  server().WriteFile(P("a"), "");
  // 2^31 - 1 is as far as every file system goes; what travels has 32 bits without a sign.
  EXPECT_TRUE(Succeeds(Change("a", TimesChange(0, 2'147'483'647))));
  EXPECT_EQ(MustLstat(P("a")).atime, 0);
  EXPECT_EQ(MustLstat(P("a")).mtime, 2'147'483'647);
  EXPECT_TRUE(Succeeds(Change("a", TimesChange(3'000'000'000, 4'294'967'295))));
  EXPECT_EQ(MustLstat(P("a")).atime, server().Lstat(P("a")).atime);
  EXPECT_EQ(MustLstat(P("a")).mtime, server().Lstat(P("a")).mtime);
}

TEST_P(SetAttributes, RefusesTimesThatCannotTravel) {
  server().WriteFile(P("a"), "");
  const Attributes before = server().Lstat(P("a"));
  const auto file = Open(P("a"), kReadWrite);
  ASSERT_TRUE(file);
  for (const std::int64_t time : {std::int64_t{-1}, std::int64_t{4'294'967'296}}) {
    EXPECT_TRUE(Fails(Change("a", TimesChange(0, time)), Code::kInvalid)) << time;
    EXPECT_TRUE(Fails(Change("a", TimesChange(time, 0)), Code::kInvalid)) << time;
    EXPECT_TRUE(Fails(file->SetAttributes(Ctx(), TimesChange(0, time)), Code::kInvalid)) << time;
  }
  EXPECT_EQ(server().Lstat(P("a")), before);
}

TEST_P(SetAttributes, GivesAway) {
  if (!traits().can_change_owner) {
    GTEST_SKIP() << "needs root";
  }
  server().WriteFile(P("a"), "");
  server().MakeDirectory(P("d"));
  for (const char* name : {"a", "d"}) {
    EXPECT_TRUE(Succeeds(Change(name, OwnerChange(12345, 23456)))) << name;
    EXPECT_EQ(server().Lstat(P(name)).uid, 12345U);
    EXPECT_EQ(server().Lstat(P(name)).gid, 23456U);
    EXPECT_EQ(MustLstat(P(name)), server().Lstat(P(name)));
  }
}

TEST_P(SetAttributes, ChangesOnlyWhatIsAsked) {
  server().WriteFile(P("a"), "hello");
  ASSERT_TRUE(Succeeds(Change("a", TimesChange(1000, 2000))));
  const Attributes before = server().Lstat(P("a"));
  EXPECT_TRUE(Succeeds(Change("a", PermissionsChange(0611))));
  Attributes expected = before;
  expected.mode = S_IFREG | 0611U;
  EXPECT_EQ(server().Lstat(P("a")), expected);
}

TEST_P(SetAttributes, ChangesAllAtOnce) {
  server().WriteFile(P("a"), "hello");
  AttributeChange change = SizeChange(3);
  change.permissions = 0640;
  change.times = AttributeChange::Times{1000, 2000};
  if (traits().can_change_owner) {
    change.owner = AttributeChange::Owner{11, 22};
  }
  EXPECT_TRUE(Succeeds(Change("a", change)));
  const Attributes seen = server().Lstat(P("a"));
  EXPECT_EQ(seen.size, 3U);
  EXPECT_EQ(seen.mode, S_IFREG | 0640U);
  EXPECT_EQ(seen.mtime, 2000) << "the time that was set, not that of the cut";
  if (traits().can_change_owner) {
    EXPECT_EQ(seen.uid, 11U);
  }
}

TEST_P(SetAttributes, OfNothingChangesNothing) {
  server().WriteFile(P("a"), "hello");
  const Attributes before = server().Lstat(P("a"));
  EXPECT_TRUE(Succeeds(Change("a", AttributeChange{})));
  const auto file = Open(P("a"), kReadWrite);
  ASSERT_TRUE(file);
  EXPECT_TRUE(Succeeds(file->SetAttributes(Ctx(), AttributeChange{})));
  EXPECT_EQ(server().Lstat(P("a")), before);
}

TEST_P(SetAttributes, OfWhatIsMissingIsNotFound) {
  EXPECT_TRUE(Fails(Change("none", PermissionsChange(0644)), Code::kNotFound));
  EXPECT_TRUE(Fails(Change("none", TimesChange(1, 1)), Code::kNotFound));
  EXPECT_TRUE(Fails(Change("none/a", OwnerChange(1, 1)), Code::kNotFound));
}

TEST_P(SetAttributes, ChangesTimesOfASymlinkItself) {
  server().WriteFile(P("file"), "");
  const Attributes target = server().Lstat(P("file"));
  for (const char* to : {"file", "nowhere"}) {
    server().MakeLink(P("link"), to);
    EXPECT_TRUE(Succeeds(Change("link", TimesChange(1000, 2000)))) << to;
    EXPECT_EQ(MustLstat(P("link")).mtime, 2000);
    EXPECT_EQ(server().Lstat(P("file")), target);
    server().Remove(P("link"));
  }
}

TEST_P(SetAttributes, ChangesTheOwnerOfASymlinkItself) {
  if (!traits().can_change_owner) {
    GTEST_SKIP() << "needs root";
  }
  server().WriteFile(P("file"), "");
  server().MakeLink(P("link"), "file");
  const Attributes target = server().Lstat(P("file"));
  EXPECT_TRUE(Succeeds(Change("link", OwnerChange(12345, 23456))));
  EXPECT_EQ(server().Lstat(P("link")).uid, 12345U);
  EXPECT_EQ(server().Lstat(P("file")), target);
}

TEST_P(SetAttributes, NeverReachesThroughASymlink) {
  // Linux keeps neither permissions nor a size for symbolic links: an error, not a change of the target.
  server().WriteFile(P("file"), "hello");
  server().MakeLink(P("link"), "file");
  const Attributes target = server().Lstat(P("file"));
  EXPECT_TRUE(Fails(Change("link", PermissionsChange(0600)), Code::kUnsupported));
  EXPECT_TRUE(Fails(Change("link", SizeChange(1)), Code::kUnsupported));
  EXPECT_EQ(server().Lstat(P("file")), target);
  EXPECT_EQ(server().ReadFile(P("file")), "hello");
  // And files can have theirs changed after that.
  EXPECT_TRUE(Succeeds(Change("file", PermissionsChange(0600))));
  EXPECT_EQ(server().Lstat(P("file")).mode, S_IFREG | 0600U);
}

TEST_P(SetAttributes, WorkOnOpenFiles) {
  server().WriteFile(P("a"), "hello");
  const auto file = Open(P("a"), kReadWrite);
  ASSERT_TRUE(file);
  EXPECT_TRUE(Succeeds(file->SetAttributes(Ctx(), SizeChange(4))));
  EXPECT_TRUE(Succeeds(file->SetAttributes(Ctx(), PermissionsChange(0604))));
  EXPECT_TRUE(Succeeds(file->SetAttributes(Ctx(), TimesChange(1000, 2000))));
  if (traits().can_change_owner) {
    EXPECT_TRUE(Succeeds(file->SetAttributes(Ctx(), OwnerChange(12345, 23456))));
    EXPECT_EQ(server().Lstat(P("a")).gid, 23456U);
  }
  const Attributes seen = server().Lstat(P("a"));
  EXPECT_EQ(server().ReadFile(P("a")), "hell");
  EXPECT_EQ(seen.mode, S_IFREG | 0604U);
  EXPECT_EQ(seen.atime, 1000);
  EXPECT_EQ(seen.mtime, 2000);
  EXPECT_TRUE(Succeeds(file->SetAttributes(Ctx(), SizeChange(5_GiB))));
  EXPECT_EQ(file->Stat(Ctx()).value().size, 5_GiB);
}

TEST_P(SetAttributes, OfSizeWantAFileOpenForWriting) {
  server().WriteFile(P("a"), "hello");
  const auto file = Open(P("a"), kRead);
  ASSERT_TRUE(file);
  EXPECT_TRUE(Fails(file->SetAttributes(Ctx(), SizeChange(0)), Code::kInvalid));
  EXPECT_TRUE(Succeeds(file->SetAttributes(Ctx(), PermissionsChange(0600)))) << "the rest does not";
  EXPECT_EQ(server().ReadFile(P("a")), "hello");
}

BT_CONTRACT_SUITE(StatFs, FullBackends);

TEST_P(StatFs, TellsSpaceAndLimits) {
  server().WriteFile(P("a"), "");
  for (const char* name : {"", "a"}) {
    const Result<FsStats> seen = fs().StatFs(Ctx(), P(name));
    ASSERT_TRUE(Succeeds(seen));
    const FsStats expected = server().StatFs(P(name));
    EXPECT_EQ(seen->block_size, expected.block_size);
    EXPECT_EQ(seen->fragment_size, expected.fragment_size);
    EXPECT_EQ(seen->blocks, expected.blocks);
    EXPECT_EQ(seen->name_max, expected.name_max);
    EXPECT_EQ(seen->read_only, expected.read_only);
    EXPECT_EQ(seen->files == 0, expected.files == 0);
    // Others use the file system too: what is free cannot be compared.
    EXPECT_LE(seen->blocks_free, seen->blocks);
    EXPECT_LE(seen->blocks_available, seen->blocks_free);
    EXPECT_LE(seen->files_free, seen->files);
  }
}

TEST_P(StatFs, OfNothingIsNotFound) { EXPECT_TRUE(Fails(fs().StatFs(Ctx(), P("none")), Code::kNotFound)); }

}  // namespace
}  // namespace bt::contract
