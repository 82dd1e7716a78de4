#include "cache/direct_io.h"

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

class DirectIoTest : public ::testing::Test {
 protected:
  DirectIoTest() : path_(temporary_.path() / "file"), fd_(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
    const auto bytes = TrueBytes(1, 0, kBytes);
    EXPECT_EQ(::write(fd_.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(kBytes));
  }

  // How many bytes there were; they are right.
  static ssize_t Read(DirectIo& io, std::byte* to, std::size_t size, std::uint64_t offset) {
    const std::array<struct iovec, 1> part{{{.iov_base = to, .iov_len = size}}};
    const ssize_t got = io.Read(part, offset);
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

TEST_F(DirectIoTest, ReadsTheBytesWhateverIsAligned) {
  DirectIo io(fd_.get(), true);
  const PageBytes memory = MakePageBytes(kBytes + kPageBytes);
  for (const bool drop : {false, true}) {
    for (const std::uint64_t skip : {std::uint64_t{0}, std::uint64_t{1}}) {
      for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{7}, std::uint64_t{kPageBytes}}) {
        for (const std::size_t size : {std::size_t{100}, kPart, kPart + 1}) {
          if (drop) {
            DropPages(path_);
          }
          EXPECT_EQ(Read(io, memory.get() + skip, size, offset), static_cast<ssize_t>(size));
        }
      }
    }
  }
}

TEST_F(DirectIoTest, ReadsEndAtTheEndOfTheFile) {
  DirectIo io(fd_.get(), true);
  const PageBytes memory = MakePageBytes(kPart);
  DropPages(path_);
  EXPECT_EQ(Read(io, memory.get(), kPart, 2_MiB), 1000);
  EXPECT_EQ(Read(io, memory.get(), kPart, 4_MiB), 0);
}

TEST_F(DirectIoTest, ReadsLeaveThePageCacheAsItIs) {
  DirectIo io(fd_.get(), true);
  const PageBytes memory = MakePageBytes(kPart);
  const std::size_t all = Cached();
  DropPages(path_);
  if (Cached() > 0) {
    GTEST_SKIP() << "this filesystem lives in the page cache";
  }
  Read(io, memory.get(), kPart, 0);
  if (Cached() > 0) {
    GTEST_SKIP() << "the kernel has no cachestat (before 6.5), or this filesystem no direct reads";
  }
  Read(io, memory.get(), kPart / 4, kPart);  // little, so it may be wanted again
  EXPECT_EQ(Cached(), kPart / 4 / kPageBytes);
  EXPECT_GT(all, kPart / kPageBytes);
}

TEST_F(DirectIoTest, ReadsSeeWhatWasWrittenAMomentAgo) {
  DirectIo io(fd_.get(), true);
  const PageBytes memory = MakePageBytes(kPart);
  DropPages(path_);
  const std::array<std::byte, 5> word{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}, std::byte{5}};
  ASSERT_EQ(::pwrite(fd_.get(), word.data(), word.size(), 100'000), 5);  // in the page cache alone
  const std::array<struct iovec, 1> part{{{.iov_base = memory.get(), .iov_len = kPart}}};
  ASSERT_EQ(io.Read(part, 0), static_cast<ssize_t>(kPart));
  EXPECT_TRUE(std::equal(word.begin(), word.end(), memory.get() + 100'000));
}

TEST_F(DirectIoTest, WritesLeaveThePageCacheAloneAndAreReadByEverybody) {
  DirectIo io(fd_.get(), true);
  const PageBytes memory = MakePageBytes(kPart);
  const auto fresh = TrueBytes(2, 0, kPart);
  std::ranges::copy(fresh, memory.get());
  DropPages(path_);
  if (Cached() > 0) {
    GTEST_SKIP() << "this filesystem lives in the page cache";
  }
  const std::size_t put = io.Write({memory.get(), kPart}, kPart);
  if (put == 0) {
    GTEST_SKIP() << "this filesystem has no direct writes";
  }
  EXPECT_EQ(put, kPart);
  EXPECT_EQ(Cached(), 0U);
  std::vector<std::byte> seen(kPart);
  EXPECT_EQ(::pread(fd_.get(), seen.data(), kPart, kPart), static_cast<ssize_t>(kPart));
  EXPECT_TRUE(std::ranges::equal(seen, fresh));
}

TEST_F(DirectIoTest, WritesReplaceWhatThePageCacheHolds) {
  DirectIo io(fd_.get(), true);
  const PageBytes memory = MakePageBytes(kPart);
  const auto fresh = TrueBytes(2, 0, kPart);
  std::ranges::copy(fresh, memory.get());
  std::vector<std::byte> seen(kPart);
  ASSERT_EQ(::pread(fd_.get(), seen.data(), kPart, 0), static_cast<ssize_t>(kPart));  // and keeps it
  if (io.Write({memory.get(), kPart}, 0) == 0) {
    GTEST_SKIP() << "this filesystem has no direct writes";
  }
  ASSERT_EQ(::pread(fd_.get(), seen.data(), kPart, 0), static_cast<ssize_t>(kPart));
  EXPECT_TRUE(std::ranges::equal(seen, fresh));
}

TEST_F(DirectIoTest, WritesAfterASlowOneAreForThePageCache) {
  DirectIo io(fd_.get(), true, std::chrono::milliseconds(-1));  // so each is slow
  const PageBytes memory = MakePageBytes(kPart);
  if (io.Write({memory.get(), kPart}, 0) == 0) {
    GTEST_SKIP() << "this filesystem has no direct writes";
  }
  EXPECT_EQ(io.Write({memory.get(), kPart}, kPart), 0U);
}

TEST_F(DirectIoTest, WhatDoesNotSuitIsNotWritten) {
  DirectIo io(fd_.get(), true);
  const PageBytes memory = MakePageBytes(2 * kPart);
  EXPECT_EQ(io.Write({memory.get(), kPageBytes}, 0), 0U);   // little
  EXPECT_EQ(io.Write({memory.get() + 1, kPart}, 0), 0U);    // the address
  EXPECT_EQ(io.Write({memory.get(), kPart}, 100), 0U);      // the offset
  EXPECT_EQ(io.Write({memory.get(), kPart + 100}, 0), 0U);  // the length
  EXPECT_EQ(DirectIo(fd_.get(), false).Write({memory.get(), kPart}, 0), 0U);
  EXPECT_EQ(Read(io, memory.get(), kPart, 0), static_cast<ssize_t>(kPart));  // the file is as it was
}

}  // namespace
}  // namespace bt
