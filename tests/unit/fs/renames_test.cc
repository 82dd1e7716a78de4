#include "fs/renames.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

namespace bt {
namespace {

RemotePath P(std::string_view text) { return RemotePath::Parse(text).value(); }

using Kind = Renames::Kind;

TEST(Renames, TouchWhatIsBelowEitherPathWhileTheyAreUnderWay) {
  Renames renames;
  const Renames::Moment before = renames.Now();
  EXPECT_FALSE(renames.Touched(P("/a/b"), before));
  const Renames::Mark mark(renames, P("/a"), P("/z"), Kind::kDirectory);
  for (const char* touched : {"/a", "/a/b", "/z", "/z/b"}) {
    EXPECT_TRUE(renames.Touched(P(touched), before)) << touched;
    EXPECT_TRUE(renames.Touched(P(touched), renames.Now())) << touched;
  }
  for (const char* untouched : {"/", "/ab", "/y/a", "/zz"}) {
    EXPECT_FALSE(renames.Touched(P(untouched), before)) << untouched;
  }
}

TEST(Renames, OfDirectoriesAreRememberedForWhoeverAskedBefore) {
  Renames renames;
  const Renames::Moment before = renames.Now();
  Renames::Moment amid = 0;
  {
    const Renames::Mark mark(renames, P("/a"), P("/z"), Kind::kDirectory);
    amid = renames.Now();
  }
  EXPECT_TRUE(renames.Touched(P("/a/b"), before));
  EXPECT_TRUE(renames.Touched(P("/z/b"), amid));
  EXPECT_FALSE(renames.Touched(P("/c"), before));
  EXPECT_FALSE(renames.Touched(P("/a/b"), renames.Now()));
}

TEST(Renames, OfFilesAreForgottenAtOnce) {
  Renames renames;
  const Renames::Moment before = renames.Now();
  { const Renames::Mark mark(renames, P("/a"), P("/z"), Kind::kFile); }
  EXPECT_FALSE(renames.Touched(P("/a"), before));
}

TEST(Renames, TooManyToRememberTouchEverything) {
  Renames renames;
  const Renames::Moment before = renames.Now();
  for (int i = 0; i < 1000; ++i) {
    const std::string number = std::to_string(i);
    const Renames::Mark mark(renames, P("/a" + number), P("/b" + number), Kind::kDirectory);
  }
  EXPECT_TRUE(renames.Touched(P("/c"), before));
  EXPECT_FALSE(renames.Touched(P("/c"), renames.Now()));
}

TEST(Renames, AreAwaitedByWhatIsBelowTheOldPath) {
  const OpContext patient = OpContext::WithTimeout(std::chrono::seconds(30));
  Renames renames;
  std::atomic<bool> ended{false};
  std::jthread waiter;
  {
    const Renames::Mark mark(renames, P("/a"), P("/z"), Kind::kFile);
    EXPECT_TRUE(renames.AwaitNone(patient, P("/b")).ok());
    EXPECT_FALSE(renames.AwaitNone(OpContext::WithTimeout(std::chrono::milliseconds(1)), P("/a/b")).ok());
    waiter = std::jthread([&] {
      EXPECT_TRUE(renames.AwaitNone(patient, P("/a/b")).ok());
      EXPECT_TRUE(ended.load());
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ended = true;
  }
}

}  // namespace
}  // namespace bt
