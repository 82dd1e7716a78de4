#include "transport/lanes/same_file.h"

#include <gtest/gtest.h>

#include <functional>

namespace bt::lanes {
namespace {

Attributes Regular(std::uint64_t size, std::int64_t mtime = 1'700'000'000) {
  Attributes attributes;
  attributes.size = size;
  attributes.mode = S_IFREG | 0644;
  attributes.uid = attributes.gid = 7;
  attributes.mtime = mtime;
  return attributes;
}

// A handle of which only the attributes are asked.
class Seen final : public RemoteFile {
 public:
  explicit Seen(std::function<Attributes()> look) : look_(std::move(look)) {}
  Result<std::size_t> Read(const OpContext&, std::uint64_t, std::span<std::byte>) override { return No(); }
  Status Write(const OpContext&, std::uint64_t, std::span<const std::byte>) override { return No(); }
  Result<Attributes> Stat(const OpContext&) override { return look_(); }
  Status SetAttributes(const OpContext&, const AttributeChange&) override { return No(); }
  Status Sync(const OpContext&) override { return No(); }

 private:
  static Error No() { return Error{Code::kInternal, "not in this test", "test"}; }
  const std::function<Attributes()> look_;
};

OpContext Briefly() { return OpContext::WithTimeout(std::chrono::milliseconds(50)); }

TEST(CompareForReading, TellsWhatDiffers) {
  EXPECT_EQ(CompareForReading(Regular(5), Regular(5)), Sameness::kSame);
  EXPECT_EQ(CompareForReading(Regular(5), Regular(6)), Sameness::kNotYet);
  EXPECT_EQ(CompareForReading(Regular(5, 1), Regular(5, 2)), Sameness::kNotYet);
  Attributes other = Regular(5);
  other.mode = S_IFREG | 0600;
  EXPECT_EQ(CompareForReading(other, Regular(5)), Sameness::kOther);
  other = Regular(5);
  other.uid = 8;
  EXPECT_EQ(CompareForReading(other, Regular(5)), Sameness::kOther);
  other.mode = S_IFDIR | 0644;
  EXPECT_EQ(CompareForReading(other, other), Sameness::kOther);
}

TEST(Growth, AFileThatGrowsWithOurWritesIsTheSame) {
  Growth growth(0);
  growth.OnSend(100);
  growth.OnAcknowledge(50);
  int looks = 0;
  Seen there([&] {
    if (++looks == 1) {
      growth.OnSend(200);
      growth.OnAcknowledge(150);  // arrives while the first look is under way
      return Regular(120);
    }
    return Regular(170);
  });
  Seen here([] { return Regular(0); });
  const auto proved = growth.Prove(Briefly(), there, here, Regular(0));
  ASSERT_TRUE(proved.ok());
  EXPECT_EQ(*proved, Sameness::kSame);
  EXPECT_EQ(looks, 2);
}

TEST(Growth, AFileThatIsNoLongerWhatItWasIsAskedAgain) {
  const auto chmoded = [](std::uint64_t size) {
    Attributes attributes = Regular(size);
    attributes.mode = S_IFREG | 0755;
    return attributes;
  };
  const auto prove = [&chmoded](const Attributes& seen_here) {
    Growth growth(0);
    growth.OnSend(100);
    growth.OnAcknowledge(50);
    Seen there([&growth, &chmoded, size = 0U]() mutable {
      size += 60;
      growth.OnSend(200);
      growth.OnAcknowledge(size + 10);
      return chmoded(size);
    });
    Seen here([&seen_here] { return seen_here; });
    return growth.Prove(Briefly(), there, here, Regular(0)).value();
  };
  EXPECT_EQ(prove(chmoded(0)), Sameness::kSame);
  EXPECT_EQ(prove(Regular(0)), Sameness::kOther);
}

TEST(Growth, AFileThatHappensToHaveTheSizeIsUnmaskedBySecondLook) {
  Growth growth(0);
  growth.OnSend(100);
  growth.OnAcknowledge(50);
  Seen there([&] {
    growth.OnSend(200);
    growth.OnAcknowledge(150);
    return Regular(100);
  });
  Seen here([] { return Regular(0); });
  const auto proved = growth.Prove(Briefly(), there, here, Regular(0));
  ASSERT_TRUE(proved.ok());
  EXPECT_EQ(*proved, Sameness::kOther);
}

TEST(Growth, WithoutGrowthNothingIsProved) {
  Growth growth(0);
  growth.OnSend(100);
  growth.OnAcknowledge(100);
  Seen there([] { return Regular(100); });
  const auto proved = growth.Prove(Briefly(), there, there, Regular(0));
  ASSERT_TRUE(proved.ok());
  EXPECT_EQ(*proved, Sameness::kNotYet);
}

TEST(Growth, ASizeThatWeDidNotMakeIsAnotherFile) {
  Growth growth(0);
  growth.OnSend(100);
  growth.OnAcknowledge(50);
  for (const std::uint64_t size : {0U, 49U, 101U}) {
    Seen there([size] { return Regular(size); });
    const auto proved = growth.Prove(Briefly(), there, there, Regular(0));
    ASSERT_TRUE(proved.ok());
    EXPECT_EQ(*proved, Sameness::kOther) << size;
  }
}

TEST(Growth, ClosingTheFileEndsTheWait) {
  Growth growth(0);
  growth.OnSend(100);
  growth.OnAcknowledge(100);
  growth.OnClose();
  EXPECT_FALSE(growth.AwaitBeyond(OpContext(), 100).ok());
}

}  // namespace
}  // namespace bt::lanes
