#include "fs/app/options.h"

#include <gtest/gtest.h>

namespace bt::app {
namespace {

Result<Command> Parse(std::vector<const char*> words) {
  words.insert(words.begin(), "bt-mount");
  return ParseCommandLine(static_cast<int>(words.size()), words.data());
}

MountOptions ParseMountOrFail(const std::vector<const char*>& words) {
  auto command = Parse(words);
  EXPECT_TRUE(command.ok()) << (command.ok() ? "" : command.error().text);
  if (!command.ok() || !std::holds_alternative<MountOptions>(*command)) {
    ADD_FAILURE() << "not a mount command";
    return {};
  }
  return std::get<MountOptions>(*command);
}

std::string ErrorOf(const std::vector<const char*>& words) {
  auto command = Parse(words);
  return command.ok() ? "" : command.error().text;
}

TEST(Options, TargetAloneTakesTheDefaults) {
  const MountOptions options = ParseMountOrFail({"abc1234"});
  EXPECT_EQ(options.target, "abc1234");
  EXPECT_FALSE(options.mount_point.has_value());
  EXPECT_EQ(options.timeout, std::chrono::seconds(30));
  EXPECT_EQ(options.symlinks, SymlinkPolicy::kContained);
  EXPECT_EQ(options.owner_map, OwnerMap::kUser);
  EXPECT_FALSE(options.read_only);
}

TEST(Options, MountPointAndLongOptions) {
  const MountOptions options = ParseMountOrFail({"abc1234", "/mnt/x", "--node", "3", "--remote=dev", "--timeout", "5m",
                                                 "--symlinks=raw", "--uid-map", "server", "-f", "-d"});
  EXPECT_EQ(options.mount_point, "/mnt/x");
  EXPECT_EQ(options.node, "3");
  EXPECT_EQ(options.remote, "dev");
  EXPECT_EQ(options.timeout, std::chrono::minutes(5));
  EXPECT_EQ(options.symlinks, SymlinkPolicy::kRaw);
  EXPECT_EQ(options.owner_map, OwnerMap::kServer);
  EXPECT_TRUE(options.foreground);
  EXPECT_TRUE(options.debug);
}

TEST(Options, MountWordsMayBeRepeatedAndJoined) {
  const MountOptions options =
      ParseMountOrFail({"abc1234", "/mnt/x", "-o", "ro,uid=1000,gid=100", "-o", "umask=027,allow_other,noexec"});
  EXPECT_TRUE(options.read_only);
  EXPECT_EQ(options.uid, 1000U);
  EXPECT_EQ(options.gid, 100U);
  EXPECT_EQ(options.umask, static_cast<mode_t>(027));
  EXPECT_TRUE(options.allow_other);
  EXPECT_EQ(options.kernel_words, std::vector<std::string>{"noexec"});
}

TEST(Options, WordsOfFstabAndSystemdAreAcceptedAndDropped) {
  const MountOptions options =
      ParseMountOrFail({"abc1234", "/mnt/x", "-o",
                        "rw,dev,suid,noauto,user,nofail,_netdev,x-systemd.automount,x-gvfs-show,comment=mine"});
  EXPECT_TRUE(options.kernel_words.empty());
  EXPECT_FALSE(options.read_only);
}

TEST(Options, OptionsThatFstabNeedsHaveWords) {
  const MountOptions options = ParseMountOrFail(
      {"abc1234", "-o",
       "node=2,remote=dev,timeout=0,symlinks=raw,uid_map=server,fsname=job,nonempty,default_permissions"});
  EXPECT_EQ(options.node, "2");
  EXPECT_EQ(options.timeout, std::chrono::milliseconds(0));
  EXPECT_EQ(options.symlinks, SymlinkPolicy::kRaw);
  EXPECT_EQ(options.owner_map, OwnerMap::kServer);
  EXPECT_EQ(options.fsname, "job");
  EXPECT_TRUE(options.nonempty);
  EXPECT_TRUE(options.default_permissions);
}

TEST(Options, RefusalsNameTheWord) {
  EXPECT_NE(ErrorOf({"abc1234", "-o", "ro,frobnicate"}).find("frobnicate"), std::string::npos);
  EXPECT_NE(ErrorOf({"abc1234", "-o", "umask=9"}).find("octal"), std::string::npos);
  EXPECT_NE(ErrorOf({"abc1234", "-o", "uid=me"}).find("number"), std::string::npos);
  EXPECT_NE(ErrorOf({"abc1234", "--timeout", "soon"}).find("--timeout"), std::string::npos);
  EXPECT_NE(ErrorOf({}).find("target"), std::string::npos);
  EXPECT_NE(ErrorOf({"abc1234", "/mnt", "surplus"}).find("surplus"), std::string::npos);
}

TEST(Options, HelpAndVersionArePrinted) {
  auto help = Parse({"--help"});
  ASSERT_TRUE(help.ok());
  ASSERT_TRUE(std::holds_alternative<PrintAndExit>(*help));
  EXPECT_NE(std::get<PrintAndExit>(*help).text.find("allow_other"), std::string::npos);
  auto version = Parse({"--version"});
  ASSERT_TRUE(version.ok());
  EXPECT_EQ(std::get<PrintAndExit>(*version).text.substr(0, 9), "bt-mount ");
}

TEST(Options, CommandsAreToldApartFromTargets) {
  auto unmount = Parse({"unmount", "/mnt/x", "--force"});
  ASSERT_TRUE(unmount.ok());
  EXPECT_EQ(std::get<UnmountOptions>(*unmount).mount_point, "/mnt/x");
  EXPECT_TRUE(std::get<UnmountOptions>(*unmount).force);
  auto status = Parse({"status", "/mnt/x", "--json"});
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(std::get<StatusOptions>(*status).mount_point, "/mnt/x");
  EXPECT_TRUE(std::get<StatusOptions>(*status).json);
  auto all = Parse({"status"});
  ASSERT_TRUE(all.ok());
  EXPECT_FALSE(std::get<StatusOptions>(*all).mount_point);
  auto demo = Parse({"demo"});
  ASSERT_TRUE(demo.ok());
  EXPECT_TRUE(std::holds_alternative<DemoOptions>(*demo));
  EXPECT_EQ(ParseMountOrFail({"mount", "demo"}).target, "demo");
}

}  // namespace
}  // namespace bt::app
