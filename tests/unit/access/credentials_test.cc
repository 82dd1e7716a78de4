#include "transport/access/credentials.h"

#include <filesystem>
#include <type_traits>

#include <gtest/gtest.h>

#include "tests/unit/access/test_server.h"

namespace bt::access {
namespace {

using testing::TempDirectory;

constexpr const char* kOneRemote =
    "[baseten]\nremote_provider = baseten\napi_key = key-of-one\nremote_url = https://app.baseten.co\n";
constexpr const char* kTwoRemotes =
    "[prod]\nremote_provider = baseten\napi_key = key-of-prod\nremote_url = https://app.baseten.co\n"
    "[dev]\nremote_provider = baseten\napi_key = key-of-dev\nremote_url = https://app.dev.baseten.co/\n";
constexpr const char* kProfiles =
    R"({"version":1,"current":"p","profiles":{
        "p":{"remote_url":"https://app.x.baseten.co","auth_type":"api_key","api_key":"key-of-p"},
        "o":{"remote_url":"https://app.baseten.co","auth_type":"oauth"}}})";

class CredentialsTest : public ::testing::Test {
 protected:
  Result<Credentials> Find(const CredentialQuery& query = {}) {
    variables_["HOME"] = home_.path();
    return FindCredentials(Environment::Of(variables_), query);
  }
  // The key, or the tag of the error.
  std::string Key(const CredentialQuery& query = {}) {
    const Result<Credentials> found = Find(query);
    return found.ok() ? std::string(found->api_key.Reveal()) : found.error().tag;
  }
  std::string Base(const CredentialQuery& query = {}) {
    const Result<Credentials> found = Find(query);
    return found.ok() ? found->api_base : found.error().tag;
  }

  TempDirectory home_;
  std::map<std::string, std::string> variables_;
};

TEST_F(CredentialsTest, NeedNoFileWithTheVariable) {
  variables_["BASETEN_API_KEY"] = "key-of-env";
  EXPECT_EQ(Key(), "key-of-env");
  EXPECT_EQ(Base(), "https://api.baseten.co");
  EXPECT_EQ(Find()->origin, "BASETEN_API_KEY");
}

TEST_F(CredentialsTest, VariableWinsOverTheFileWhichStillSaysWhichApi) {
  home_.Write(".trussrc", kTwoRemotes);
  variables_["BASETEN_API_KEY"] = "key-of-env";
  EXPECT_EQ(Key(), "key-of-env");
  EXPECT_EQ(Key({"dev", {}}), "key-of-env");
  EXPECT_EQ(Base({"dev", {}}), "https://api.mc-dev.baseten.co");
  EXPECT_EQ(Key({"other", {}}), "access.remote-unknown");
}

TEST_F(CredentialsTest, TakeTheOnlyRemote) {
  home_.Write(".trussrc", kOneRemote);
  EXPECT_EQ(Key(), "key-of-one");
  EXPECT_EQ(Find()->origin, "remote \"baseten\" in " + home_.path() + "/.trussrc");
}

TEST_F(CredentialsTest, TakeTheNamedRemote) {
  home_.Write(".trussrc", kTwoRemotes);
  EXPECT_EQ(Key({"dev", {}}), "key-of-dev");
  EXPECT_EQ(Base({"dev", {}}), "https://api.mc-dev.baseten.co");
  EXPECT_EQ(Base({"prod", "abc"}), "https://api.abc.baseten.co");
}

TEST_F(CredentialsTest, TakeTheStampedDefaultOfSeveral) {
  home_.Write(".trussrc", kTwoRemotes);
  EXPECT_EQ(Key(), "access.remote-open");
  EXPECT_NE(Find().error().text.find("prod, dev"), std::string::npos);
  home_.Write(".ssh/baseten/proxy-command.py", "import os\nDEFAULT_REMOTE = \"dev\"\n");
  EXPECT_EQ(Key(), "key-of-dev");
  home_.Write("keys/proxy-command.py", "DEFAULT_REMOTE = 'gone'\n");
  variables_["BASETEN_SSH_DIR"] = home_.path() + "/keys";
  EXPECT_EQ(Key(), "access.remote-unknown");
}

TEST_F(CredentialsTest, HonourTheOtherPlaceOfTheFile) {
  variables_["USER_TRUSSRC_PATH"] = home_.Write("elsewhere", kOneRemote);
  EXPECT_EQ(Key(), "key-of-one");
}

TEST_F(CredentialsTest, ListRemotesWhenOneIsUnknown) {
  home_.Write(".trussrc", kTwoRemotes);
  const Result<Credentials> found = Find({"gone", {}});
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().tag, "access.remote-unknown");
  EXPECT_NE(found.error().text.find("prod, dev"), std::string::npos);
}

TEST_F(CredentialsTest, FallBackToProfilesOfBasetenCli) {
  home_.Write(".config/baseten/auth.json", kProfiles);
  EXPECT_EQ(Key(), "key-of-p");
  EXPECT_EQ(Base(), "https://api.x.baseten.co");
  EXPECT_EQ(Key({"o", {}}), "access.no-inline-key");
  home_.Write(".trussrc", kOneRemote);
  EXPECT_EQ(Key(), "key-of-one");
  EXPECT_EQ(Key({"p", {}}), "key-of-p");
}

TEST_F(CredentialsTest, HonourTheOtherPlacesOfProfiles) {
  home_.Write("xdg/baseten/auth.json", kProfiles);
  variables_["XDG_CONFIG_HOME"] = home_.path() + "/xdg";
  EXPECT_EQ(Key(), "key-of-p");
  variables_["XDG_CONFIG_HOME"] = "relative";
  EXPECT_EQ(Key(), "access.no-key");
  home_.Write("conf/auth.json", kProfiles);
  variables_["BASETEN_CONFIG_DIR"] = home_.path() + "/conf";
  EXPECT_EQ(Key(), "key-of-p");
}

TEST_F(CredentialsTest, SayWhatToDoWithoutAnyKey) {
  const Result<Credentials> found = Find();
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().code, Code::kConfig);
  EXPECT_EQ(found.error().tag, "access.no-key");
  EXPECT_NE(found.error().text.find("BASETEN_API_KEY"), std::string::npos);
  EXPECT_NE(found.error().text.find("truss login"), std::string::npos);
}

TEST_F(CredentialsTest, NameBothWaysOutOfOauthAndKeyring) {
  for (const char* section : {"[r]\nremote_provider = baseten\nauth_type = oauth\n", "[r]\nauth_type = api_key\n"}) {
    home_.Write(".trussrc", section);
    const Result<Credentials> found = Find();
    ASSERT_FALSE(found.ok());
    EXPECT_EQ(found.error().tag, "access.no-inline-key");
    EXPECT_NE(found.error().text.find("BASETEN_API_KEY"), std::string::npos);
    EXPECT_NE(found.error().text.find("BASETEN_TRUSS_AUTH_KEYRING_DISABLED=1 uvx truss login"), std::string::npos);
  }
}

TEST_F(CredentialsTest, RefuseBrokenFilesWithoutShowingThem) {
  home_.Write(".trussrc", "[a]\napi_key hidden-text\n");
  EXPECT_EQ(Key(), "access.ini");
  EXPECT_EQ(Find().error().text.find("hidden-text"), std::string::npos);
  EXPECT_NE(Find().error().text.find(".trussrc: line 2"), std::string::npos);

  std::filesystem::remove(home_.path() + "/.trussrc");
  home_.Write(".config/baseten/auth.json", "{hidden-text");
  EXPECT_EQ(Key(), "access.profiles");
  EXPECT_EQ(Find().error().text.find("hidden-text"), std::string::npos);

  variables_["USER_TRUSSRC_PATH"] = home_.path();
  EXPECT_EQ(Key(), "access.file");
}

TEST_F(CredentialsTest, RefuseKeysThatCouldLeaveTheirHeader) {
  for (const char* bad : {"a b", "a\r\nX: y", "a\tb", "k\xC3\xA9y"}) {
    variables_["BASETEN_API_KEY"] = bad;
    EXPECT_EQ(Key(), "access.key-malformed") << bad;
    EXPECT_EQ(Find().error().text.find(bad), std::string::npos);
  }
  variables_.erase("BASETEN_API_KEY");
  home_.Write(".trussrc", "[a]\napi_key = one\n  two\n");
  EXPECT_EQ(Key(), "access.key-malformed");
}

TEST_F(CredentialsTest, RefuseAnotherProvider) {
  home_.Write(".trussrc", "[a]\nremote_provider = other\napi_key = k\n");
  EXPECT_EQ(Key(), "access.provider");
}

TEST_F(CredentialsTest, WarnWhenOthersMayReadTheFile) {
  const std::string path = home_.Write(".trussrc", kOneRemote);
  EXPECT_TRUE(Find()->warnings.empty());
  std::filesystem::permissions(path, std::filesystem::perms::others_read, std::filesystem::perm_options::add);
  ASSERT_EQ(Find()->warnings.size(), 1U);
  EXPECT_NE(Find()->warnings[0].find("chmod 600"), std::string::npos);
}

TEST_F(CredentialsTest, BaseUrlOverridesTheApi) {
  variables_["BASETEN_API_KEY"] = "k";
  struct Row {
    const char* url;
    const char* base;
  };
  for (const Row& row :
       {Row{"https://api.example.com", "https://api.example.com"},
        Row{"https://api.example.com/x//", "https://api.example.com/x"},
        Row{"http://127.0.0.1:8080", "http://127.0.0.1:8080"}, Row{"http://localhost:8080/", "http://localhost:8080"},
        Row{"http://[::1]:8080", "http://[::1]:8080"}, Row{"http://api.example.com", "access.base-url"},
        Row{"http://127.0.0.1.example.com", "access.base-url"}, Row{"http://localhost@example.com", "access.base-url"},
        Row{"ftp://x", "access.base-url"}, Row{"https://", "access.base-url"}, Row{"https://a b", "access.base-url"},
        Row{"api.baseten.co", "access.base-url"}}) {
    variables_["BASETEN_BASE_URL"] = row.url;
    EXPECT_EQ(Base({{}, "prefix"}), row.base) << row.url;
  }
  variables_["BASETEN_BASE_URL"] = "http://localhost:1";
  EXPECT_EQ(Find()->warnings.size(), 1U);
}

TEST(ApiBase, IsToldFromTheAppsAddress) {
  EXPECT_EQ(*ApiBaseOfApp("https://app.baseten.co"), "https://api.baseten.co");
  EXPECT_EQ(*ApiBaseOfApp("https://app.baseten.co/"), "https://api.baseten.co");
  EXPECT_EQ(*ApiBaseOfApp("https://app.x.baseten.co"), "https://api.x.baseten.co");
  EXPECT_EQ(*ApiBaseOfApp("https://app.dev.baseten.co"), "https://api.mc-dev.baseten.co");
  for (const char* bad :
       {"", "http://app.baseten.co", "https://baseten.co", "https://app.x-baseten.co", "https://app..baseten.co",
        "https://app.x@y.baseten.co", "https://app.evil.com/baseten.co", "https://app.x:1.baseten.co"}) {
    EXPECT_FALSE(ApiBaseOfApp(bad).ok()) << bad;
  }
}

TEST(Secrets, CannotBeCopiedOrPrintedByAccident) {
  static_assert(!std::is_copy_constructible_v<Secret>);
  static_assert(!std::is_default_constructible_v<fmt::formatter<Secret>>);
  static_assert(!std::is_convertible_v<Secret, std::string>);
  Secret one("hidden");
  Secret two = std::move(one);
  EXPECT_TRUE(one.empty());  // NOLINT(bugprone-use-after-move): that is the point
  EXPECT_EQ(two.Reveal(), "hidden");
  EXPECT_EQ(two.Copy().Reveal(), "hidden");
}

TEST(Secrets, WipeOverwritesAndEmpties) {
  std::string text = "hidden";
  const char* memory = text.data();
  Wipe(text);
  EXPECT_TRUE(text.empty());
  EXPECT_EQ(std::string_view(memory, 1), std::string_view("\0", 1));
}

TEST(Environment, TreatsEmptyAsUnset) {
  const Environment environment =
      Environment::Of({{"A", ""}, {"B", "TRUE"}, {"C", "1"}, {"D", "yes"}, {"HOME", "/home/u"}});
  EXPECT_FALSE(environment.Get("A").has_value());
  EXPECT_TRUE(environment.Flag("B") && environment.Flag("C"));
  EXPECT_FALSE(environment.Flag("A") || environment.Flag("D") || environment.Flag("E"));
  EXPECT_EQ(environment.SshDirectory(), "/home/u/.ssh/baseten");
  EXPECT_FALSE(Environment::Of({}).Home().empty());
}

}  // namespace
}  // namespace bt::access
