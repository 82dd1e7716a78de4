#include "tests/e2e/tree.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <random>
#include <vector>

#include <fmt/format.h>
#include <xxhash.h>

#include "transport/base/error.h"
#include "transport/base/unique_fd.h"

namespace bt::e2e {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kShown = 64;  // longer contents are shown by their hash

std::string Shown(const std::string& bytes) {
  const bool printable = std::all_of(bytes.begin(), bytes.end(), [](char c) { return c >= ' ' && c < 127; });
  if (printable && bytes.size() <= kShown) {
    return fmt::format("\"{}\"", bytes);
  }
  return fmt::format("{} bytes, hash {:016x}", bytes.size(), XXH3_64bits(bytes.data(), bytes.size()));
}

std::string DescribeEntry(const fs::path& path, const std::string& name) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) {
    return fmt::format("{} {}\n", name, strerrorname_np(errno));
  }
  std::string content;
  if (S_ISREG(found.st_mode)) {
    content = Shown(ReadFile(path));
  } else if (S_ISLNK(found.st_mode)) {
    content = "-> " + fs::read_symlink(path).string();
  }
  return fmt::format("{} {:o} {}:{} links {} {}\n", name, found.st_mode, found.st_uid, found.st_gid,
                     S_ISDIR(found.st_mode) ? 0 : found.st_nlink, content);
}

}  // namespace

std::string Noise(std::size_t size, std::uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::string bytes(size, '\0');
  for (std::size_t at = 0; at < size; at += sizeof(std::uint64_t)) {
    const std::uint64_t word = engine();
    std::memcpy(bytes.data() + at, &word, std::min(sizeof word, size - at));
  }
  return bytes;
}

void WriteFile(const fs::path& file, std::string_view bytes) {
  UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  ASSERT_TRUE(fd) << file << ": " << SystemText(errno);
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd.get(), bytes.data(), bytes.size());
    ASSERT_GT(written, 0) << file << ": " << SystemText(errno);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  ASSERT_EQ(::close(fd.Release()), 0) << file << ": " << SystemText(errno);
}

std::string ReadFile(const fs::path& file) {
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_TRUE(fd) << file << ": " << SystemText(errno);
  std::string bytes;
  std::array<char, 65536> chunk{};
  ssize_t got = 0;
  while (fd && (got = ::read(fd.get(), chunk.data(), chunk.size())) > 0) {
    bytes.append(chunk.data(), static_cast<std::size_t>(got));
  }
  EXPECT_EQ(got, 0) << file << ": " << SystemText(errno);
  return bytes;
}

std::string Describe(const fs::path& directory) {
  std::vector<std::string> lines;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    lines.push_back(DescribeEntry(entry.path(), entry.path().lexically_relative(directory).string()));
  }
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (const std::string& line : lines) {
    text += line;
  }
  return text;
}

long Record::Call(std::string_view what, long answer) {
  const int error = errno;
  text_ += answer < 0 ? fmt::format("{}: {}\n", what, strerrorname_np(error)) : fmt::format("{}: ok\n", what);
  return answer;
}

void Record::Value(std::string_view what, std::string_view value) {
  text_ += fmt::format("{} = {}\n", what, Shown(std::string(value)));
}

void Record::Value(std::string_view what, long long value) { text_ += fmt::format("{} = {}\n", what, value); }

void ExpectSame(const fs::path& direct, const fs::path& mounted, const fs::path& mounted_on_server,
                const Operation& operation) {
  fs::create_directory(direct);
  fs::create_directory(mounted);
  Record there;
  operation(direct, there);
  Record here;
  operation(mounted, here);
  EXPECT_EQ(there.text(), here.text()) << "left: on the server itself, right: through the mount";
  EXPECT_EQ(Describe(direct), Describe(mounted_on_server)) << "left: on the server itself, right: through the mount";
  EXPECT_EQ(Describe(mounted).empty(), Describe(direct).empty());
}

}  // namespace bt::e2e
