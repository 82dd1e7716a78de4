#include "transport/ssh/key_pair.h"

#include <gtest/gtest.h>

#include "tests/unit/ssh/sshd.h"
#include "transport/ssh/wire.h"

namespace bt::ssh {
namespace {

using test::ReadFile;
using test::RunProgram;
using test::TempDir;
using test::WriteFile;

void MakeKey(const std::filesystem::path& path, std::vector<std::string> options) {
  std::vector<std::string> command{"/usr/bin/ssh-keygen", "-q", "-C", "comment", "-f", path.string()};
  command.insert(command.end(), options.begin(), options.end());
  ASSERT_EQ(RunProgram(command), 0);
}

// "type base64" of the .pub file beside a key.
std::string PublicHalf(const std::filesystem::path& path) {
  const std::string line = ReadFile(path.string() + ".pub");
  return line.substr(0, line.find(' ', line.find(' ') + 1));
}

TEST(KeyPair, PrefersEd25519) {
  const TempDir dir;
  MakeKey(dir.path() / "id_ed25519", {"-t", "ed25519", "-N", ""});
  MakeKey(dir.path() / "id_rsa", {"-t", "rsa", "-b", "2048", "-N", ""});
  const auto key = KeyPair::Load(dir.path());
  ASSERT_TRUE(key.ok()) << Describe(key.error());
  EXPECT_EQ((*key)->public_key_line(), PublicHalf(dir.path() / "id_ed25519") + " bt-mount");
}

TEST(KeyPair, ReadsRsaInEveryFormatOfSshKeygen) {
  for (const char* format : {"RFC4716", "PEM", "PKCS8"}) {
    const TempDir dir;
    MakeKey(dir.path() / "id_rsa", {"-t", "rsa", "-b", "2048", "-N", "", "-m", format});
    const auto key = KeyPair::Load(dir.path());
    ASSERT_TRUE(key.ok()) << format << ": " << Describe(key.error());
    EXPECT_EQ((*key)->public_key_line(), PublicHalf(dir.path() / "id_rsa") + " bt-mount") << format;
    EXPECT_TRUE((*key)->Sign("rsa-sha2-512-cert-v01@openssh.com", {}).ok());
    EXPECT_EQ((*key)->Sign("ssh-ed25519", {}).error().code, Code::kUnsupported);
  }
}

TEST(KeyPair, TellsAMissingKeyFromABadOne) {
  const TempDir dir;
  EXPECT_EQ(KeyPair::Load(dir.path()).error().code, Code::kNotFound);
  EXPECT_EQ(KeyPair::Load(dir.path() / "nowhere").error().code, Code::kNotFound);
  WriteFile(dir.path() / "id_ed25519", "not a key");
  EXPECT_EQ(KeyPair::Load(dir.path()).error().code, Code::kConfig);
}

TEST(KeyPair, SaysWhatToDoAboutAPassphrase) {
  for (const char* format : {"RFC4716", "PEM"}) {
    const TempDir dir;
    MakeKey(dir.path() / "id_rsa", {"-t", "rsa", "-b", "2048", "-N", "secret", "-m", format});
    const auto key = KeyPair::Load(dir.path());
    ASSERT_FALSE(key.ok());
    EXPECT_EQ(key.error().tag, "ssh.key-encrypted");
    EXPECT_NE(key.error().text.find("ssh-keygen -p"), std::string::npos);
  }
}

TEST(KeyPair, RefusesOtherKindsOfKeys) {
  const TempDir dir;
  MakeKey(dir.path() / "id_rsa", {"-t", "ecdsa", "-N", ""});
  EXPECT_EQ(KeyPair::Load(dir.path()).error().code, Code::kConfig);
  std::filesystem::remove(dir.path() / "id_rsa");
  MakeKey(dir.path() / "id_rsa", {"-t", "ecdsa", "-N", "", "-m", "PEM"});
  EXPECT_EQ(KeyPair::Load(dir.path()).error().code, Code::kConfig);
}

TEST(KeyPair, SurvivesEveryTruncationAndChange) {
  const TempDir dir;
  MakeKey(dir.path() / "id_ed25519", {"-t", "ed25519", "-N", ""});
  const std::string text = ReadFile(dir.path() / "id_ed25519");
  for (std::size_t length = 0; length < text.size(); ++length) {
    (void)KeyPair::Parse(text.substr(0, length), "key").ok();
    std::string changed = text;
    changed[length] = changed[length] == 'A' ? '/' : 'A';
    (void)KeyPair::Parse(changed, "key").ok();
  }
  const std::string body = text.substr(text.find('\n') + 1, 64);
  const auto failed = KeyPair::Parse(text.substr(0, text.size() / 2), "key");
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().text.find(body.substr(0, 8)), std::string::npos) << "key bytes in a message";
}

TEST(KeyPair, GeneratesADifferentKeyEachTime) {
  const auto one = KeyPair::Generate();
  const auto two = KeyPair::Generate();
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_TRUE((*one)->public_key_line().starts_with("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"));
  EXPECT_NE((*one)->public_key_line(), (*two)->public_key_line());
  EXPECT_EQ((*one)->Sign("ssh-ed25519", {})->size(), 64U);
}

TEST(Base64, ReadsBackWhatItWrote) {
  for (const std::string_view text : {"a", "ab", "abc", "abcd"}) {
    const auto bytes = std::as_bytes(std::span(text));
    const auto back = DecodeBase64(EncodeBase64(bytes));
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(WireReader::AsText(*back), text);
  }
  EXPECT_FALSE(DecodeBase64("").has_value());
  EXPECT_FALSE(DecodeBase64("abc").has_value());
  EXPECT_FALSE(DecodeBase64("ab!d").has_value());
}

}  // namespace
}  // namespace bt::ssh
