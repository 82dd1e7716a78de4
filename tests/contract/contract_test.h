// The fixture of the contract suite and the words its tests are written in.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/contract/backend.h"
#include "transport/base/units.h"

namespace bt::contract {

inline constexpr OpenFlags kRead{.read = true};
inline constexpr OpenFlags kWrite{.write = true};
inline constexpr OpenFlags kReadWrite{.read = true, .write = true};
inline constexpr OpenFlags kCreate{.read = true, .write = true, .create = true};
inline constexpr OpenFlags kCreateNew{.read = true, .write = true, .create = true, .exclusive = true};
inline constexpr OpenFlags kRewrite{.read = true, .write = true, .create = true, .truncate = true};
inline constexpr OpenFlags kAppend{.read = true, .write = true, .append = true, .create = true};

// What an error says, short of paths that fill a page.
inline std::string Told(const Error& error) {
  std::string text = std::string(CodeName(error.code)) + ": " + Describe(error);
  if (text.size() > 300) {
    text.replace(150, text.size() - 300, " ... ");
  }
  return text;
}

template <typename T>
testing::AssertionResult Succeeds(const Result<T>& result) {
  if (result.ok()) {
    return testing::AssertionSuccess();
  }
  return testing::AssertionFailure() << Told(result.error());
}

template <typename T>
testing::AssertionResult Fails(const Result<T>& result, Code code) {
  if (result.ok()) {
    return testing::AssertionFailure() << "it succeeds";
  }
  if (result.error().code != code) {
    return testing::AssertionFailure() << Told(result.error());
  }
  if (result.error().text.empty() || result.error().tag.empty()) {
    return testing::AssertionFailure() << "the error says nothing, or has no tag";
  }
  return testing::AssertionSuccess();
}

inline std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

// Bytes that differ at every offset modulo a prime, so that a piece in the wrong place shows.
inline std::string Pattern(std::size_t size, std::uint32_t seed = 1) {
  std::string text(size, '\0');
  std::uint32_t state = seed * 2654435761U + 1;
  for (char& c : text) {
    state = state * 1664525U + 1013904223U;
    c = static_cast<char>(state >> 24U);
  }
  return text;
}

inline AttributeChange SizeChange(std::uint64_t size) {
  AttributeChange change;
  change.size = size;
  return change;
}

inline AttributeChange PermissionsChange(std::uint32_t permissions) {
  AttributeChange change;
  change.permissions = permissions;
  return change;
}

inline AttributeChange TimesChange(std::int64_t atime, std::int64_t mtime) {
  AttributeChange change;
  change.times = AttributeChange::Times{atime, mtime};
  return change;
}

inline AttributeChange OwnerChange(std::uint32_t uid, std::uint32_t gid) {
  AttributeChange change;
  change.owner = AttributeChange::Owner{uid, gid};
  return change;
}

class ContractTest : public testing::TestWithParam<BackendKind> {
 protected:
  RemoteFs& fs() { return backend_->fs(); }
  ServerSide& server() { return backend_->server(); }
  RemotePath root() const { return backend_->root(); }
  Traits traits() const { return backend_->traits(); }

  // Long enough for a slow machine; nothing here waits for it to pass.
  static OpContext Ctx() { return OpContext::WithTimeout(std::chrono::seconds(60)); }

  // "a/b" below the test's directory.
  RemotePath P(std::string_view relative) const {
    return RemotePath::Parse(root().text() + "/" + std::string(relative)).value();
  }

  std::unique_ptr<RemoteFile> Open(const RemotePath& path, const OpenFlags& flags, std::uint32_t permissions = 0644) {
    Result<OpenedFile> opened = fs().Open(Ctx(), path, flags, permissions);
    EXPECT_TRUE(Succeeds(opened)) << path.text();
    return opened.ok() ? std::move(opened->file) : nullptr;
  }

  // Up to `size` bytes; an error becomes a failure and an empty answer.
  static std::string ReadAt(RemoteFile& file, std::uint64_t offset, std::size_t size) {
    std::string text(size, '?');
    const Result<std::size_t> got = file.Read(Ctx(), offset, std::as_writable_bytes(std::span(text)));
    EXPECT_TRUE(Succeeds(got));
    text.resize(got.ok() ? got.value() : 0);
    return text;
  }

  static Status WriteAt(RemoteFile& file, std::uint64_t offset, std::string_view text) {
    return file.Write(Ctx(), offset, Bytes(text));
  }

  Attributes MustLstat(const RemotePath& path) {
    const Result<Attributes> seen = fs().Lstat(Ctx(), path);
    EXPECT_TRUE(Succeeds(seen)) << path.text();
    return seen.ok() ? seen.value() : Attributes{};
  }

  std::set<std::string> List(const RemotePath& path) {
    const Result<std::vector<DirEntry>> entries = fs().ReadDirectory(Ctx(), path);
    EXPECT_TRUE(Succeeds(entries));
    std::set<std::string> names;
    if (entries.ok()) {
      for (const DirEntry& entry : entries.value()) {
        EXPECT_TRUE(names.insert(entry.name.text()).second) << "twice: " << entry.name.text();
      }
    }
    return names;
  }

 private:
  const std::unique_ptr<Backend> backend_ = GetParam().make();
};

inline std::string KindName(const testing::TestParamInfo<BackendKind>& info) { return info.param.name; }

}  // namespace bt::contract

// Every test of `Suite` runs on every backend; `Kinds` is FullBackends or BareBackends.
// NOLINTBEGIN(bugprone-macro-parentheses): a class's name takes none.
#define BT_CONTRACT_SUITE(Suite, Kinds) \
  class Suite : public ContractTest {}; \
  INSTANTIATE_TEST_SUITE_P(, Suite, testing::ValuesIn(Kinds()), KindName)
// NOLINTEND(bugprone-macro-parentheses)
