#include "cache/direct_reads.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>

#include "tests/unit/cache/cache_fixture.h"
#include "transport/base/page_bytes.h"

namespace bt {
namespace {

constexpr std::uint64_t kBytes = 2_MiB + 1000;
constexpr std::uint64_t kPart = 256_KiB;

class DirectReadsTest : public ::testing::Test {
 protected:
  DirectReadsTest()
      : path_(temporary_.path() / "file"), fd_(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
    const auto bytes = TrueBytes(1, 0, kBytes);
    EXPECT_EQ(::write(fd_.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(kBytes));
  }

  // How many bytes there were; they are right.
  static ssize_t Read(DirectReads& reads, std::byte* to, std::size_t size, std::uint64_t offset) {
    const std::array<struct iovec, 1> part{{{.iov_base = to, .iov_len = size}}};
    const ssize_t got = reads.Read(part, offset);
    const auto truth = TrueBytes(1, offset, got > 0 ? static_cast<std::uint64_t>(got) : 0);
    EXPECT_TRUE(std::equal(truth.begin(), truth.end(), to));
    return got;
  }

  // In pages, of the whole file.
  std::size_t Cached() const {
    const std::size_t pages = (kBytes + kPageBytes - 1) / kPageBytes;
    void* const mapped = ::mmap(nullptr, kBytes, PROT_READ, MAP_SHARED, fd_.get(), 0);
    std::vector<unsigned char> there(pages);
    ::mincore(mapped, kBytes, there.data());
    ::munmap(mapped, kBytes);
    return static_cast<std::size_t>(std::ranges::count_if(there, [](unsigned char page) { return (page & 1U) != 0; }));
  }

  TemporaryDirectory temporary_;
  std::filesystem::path path_;
  UniqueFd fd_;
};

TEST_F(DirectReadsTest, YieldsTheBytesWhateverIsAligned) {
  DirectReads reads(fd_.get());
  const PageBytes memory = MakePageBytes(kBytes + kPageBytes);
  for (const bool drop : {false, true}) {
    for (const std::uint64_t skip : {std::uint64_t{0}, std::uint64_t{1}}) {
      for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{7}, std::uint64_t{kPageBytes}}) {
        for (const std::size_t size : {std::size_t{100}, kPart, kPart + 1}) {
          if (drop) {
            DropPages(path_);
          }
          EXPECT_EQ(Read(reads, memory.get() + skip, size, offset), static_cast<ssize_t>(size));
        }
      }
    }
  }
}

TEST_F(DirectReadsTest, EndAtTheEndOfTheFile) {
  DirectReads reads(fd_.get());
  const PageBytes memory = MakePageBytes(kPart);
  DropPages(path_);
  EXPECT_EQ(Read(reads, memory.get(), kPart, 2_MiB), 1000);
  EXPECT_EQ(Read(reads, memory.get(), kPart, 4_MiB), 0);
}

TEST_F(DirectReadsTest, LeaveThePageCacheAsItIs) {
  DirectReads reads(fd_.get());
  const PageBytes memory = MakePageBytes(kPart);
  const std::size_t all = Cached();
  DropPages(path_);
  if (Cached() > 0) {
    GTEST_SKIP() << "this filesystem lives in the page cache";
  }
  Read(reads, memory.get(), kPart, 0);
  if (Cached() > 0) {
    GTEST_SKIP() << "the kernel has no cachestat (before 6.5), or this filesystem no direct reads";
  }
  Read(reads, memory.get(), kPart / 4, kPart);  // little, so it may be wanted again
  EXPECT_EQ(Cached(), kPart / 4 / kPageBytes);
  EXPECT_GT(all, kPart / kPageBytes);
}

TEST_F(DirectReadsTest, SeeWhatWasWrittenAMomentAgo) {
  DirectReads reads(fd_.get());
  const PageBytes memory = MakePageBytes(kPart);
  DropPages(path_);
  const std::array<std::byte, 5> word{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}, std::byte{5}};
  ASSERT_EQ(::pwrite(fd_.get(), word.data(), word.size(), 100'000), 5);  // in the page cache alone
  const std::array<struct iovec, 1> part{{{.iov_base = memory.get(), .iov_len = kPart}}};
  ASSERT_EQ(reads.Read(part, 0), static_cast<ssize_t>(kPart));
  EXPECT_TRUE(std::equal(word.begin(), word.end(), memory.get() + 100'000));
}

}  // namespace
}  // namespace bt
