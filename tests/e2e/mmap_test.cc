// Files mapped into memory.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "tests/e2e/operations.h"

namespace bt::e2e {
namespace {

using MappedFiles = MountedWorkspace;

constexpr std::size_t kSize = 1'000'000;

class Mapping {
 public:
  Mapping(const std::filesystem::path& file, int flags)
      : fd_(::open(file.c_str(), O_RDWR | O_CLOEXEC)),
        bytes_(static_cast<char*>(::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, flags, fd_.get(), 0))) {}
  ~Mapping() { ::munmap(bytes_, kSize); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  bool ok() const { return bytes_ != MAP_FAILED; }
  char* bytes() const { return bytes_; }

 private:
  UniqueFd fd_;
  char* bytes_;
};

TEST_F(MappedFiles, ShowTheirContent) {
  WriteFile(server() / "f", Noise(kSize));
  const Mapping mapping(mount() / "f", MAP_PRIVATE);
  ASSERT_TRUE(mapping.ok());
  EXPECT_TRUE(std::string(mapping.bytes(), kSize) == Noise(kSize));
}

TEST_F(MappedFiles, AreOnTheServerAfterMsync) {
  WriteFile(server() / "f", Noise(kSize));
  std::string expected = Noise(kSize);
  const Mapping mapping(mount() / "f", MAP_SHARED);
  ASSERT_TRUE(mapping.ok());
  for (const std::size_t at : {std::size_t{0}, std::size_t{123'456}, kSize - 20}) {
    std::memcpy(mapping.bytes() + at, "written through memory", 20);
    std::memcpy(expected.data() + at, "written through memory", 20);
  }
  ASSERT_EQ(::msync(mapping.bytes(), kSize, MS_SYNC), 0);
  EXPECT_TRUE(ReadFile(server() / "f") == expected);
}

TEST_F(MappedFiles, AreOnTheServerAfterTheMountEnded) {
  WriteFile(server() / "f", std::string(kSize, '.'));
  {
    const Mapping mapping(mount() / "f", MAP_SHARED);
    ASSERT_TRUE(mapping.ok());
    std::memset(mapping.bytes(), '#', kSize);
  }
  Unmount(mount());
  EXPECT_TRUE(ReadFile(server() / "f") == std::string(kSize, '#'));
}

}  // namespace
}  // namespace bt::e2e
