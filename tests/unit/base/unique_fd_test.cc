#include "transport/base/unique_fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <array>

namespace bt {
namespace {

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Pipe MakePipe() {
  std::array<int, 2> fds{-1, -1};
  EXPECT_EQ(::pipe2(fds.data(), O_CLOEXEC | O_NONBLOCK), 0);
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

// The reader of a pipe sees end of file when nobody holds its writing end.
bool WriterGone(const Pipe& pipe) {
  char byte = 0;
  return ::read(pipe.read.get(), &byte, 1) == 0;
}

TEST(UniqueFd, IsEmptyAtFirst) {
  const UniqueFd fd;
  EXPECT_FALSE(fd);
  EXPECT_EQ(fd.get(), -1);
}

TEST(UniqueFd, ClosesAtTheEndOfItsScope) {
  Pipe pipe = MakePipe();
  {
    const UniqueFd owner = std::move(pipe.write);
    EXPECT_TRUE(owner);
    EXPECT_FALSE(WriterGone(pipe));
  }
  EXPECT_TRUE(WriterGone(pipe));
}

TEST(UniqueFd, MovedFromIsEmpty) {
  Pipe pipe = MakePipe();
  UniqueFd owner = std::move(pipe.write);
  EXPECT_FALSE(pipe.write);  // NOLINT(bugprone-use-after-move)
  EXPECT_FALSE(WriterGone(pipe));
}

TEST(UniqueFd, AssignmentClosesWhatWasHeld) {
  Pipe first = MakePipe();
  Pipe second = MakePipe();
  first.write = std::move(second.write);
  EXPECT_TRUE(WriterGone(first));
  EXPECT_FALSE(WriterGone(second));
}

TEST(UniqueFd, AssignmentToItselfKeepsTheDescriptor) {
  Pipe pipe = MakePipe();
  UniqueFd& same = pipe.write;
  pipe.write = std::move(same);
  EXPECT_TRUE(pipe.write);
  EXPECT_FALSE(WriterGone(pipe));
}

TEST(UniqueFd, ReleaseGivesItUpOpen) {
  Pipe pipe = MakePipe();
  const int fd = pipe.write.Release();
  EXPECT_FALSE(pipe.write);
  EXPECT_FALSE(WriterGone(pipe));
  ::close(fd);
  EXPECT_TRUE(WriterGone(pipe));
}

TEST(UniqueFd, ResetClosesAndTakesTheNext) {
  Pipe first = MakePipe();
  Pipe second = MakePipe();
  first.write.Reset(second.write.Release());
  EXPECT_TRUE(WriterGone(first));
  first.write.Reset();
  EXPECT_TRUE(WriterGone(second));
}

}  // namespace
}  // namespace bt
