#include "fs/fuse/interrupt.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace bt::fuse {
namespace {

TEST(Interrupt, ReachesTheTokenOfItsIdOnly) {
  InterruptRegistry registry;
  const auto one = registry.Register();
  const auto other = registry.Register();
  EXPECT_TRUE(registry.Interrupt(one.id));
  EXPECT_TRUE(one.token.stop_requested());
  EXPECT_FALSE(other.token.stop_requested());
}

TEST(Interrupt, OfAnAnsweredRequestReachesNobody) {
  InterruptRegistry registry;
  const auto ticket = registry.Register();
  registry.Unregister(ticket.id);
  EXPECT_FALSE(registry.Interrupt(ticket.id));
  EXPECT_FALSE(ticket.token.stop_requested());
  EXPECT_EQ(registry.size(), 0U);
}

TEST(Interrupt, AllReachesTheLateOnesToo) {
  InterruptRegistry registry;
  const auto early = registry.Register();
  registry.InterruptAll();
  const auto late = registry.Register();
  EXPECT_TRUE(early.token.stop_requested());
  EXPECT_TRUE(late.token.stop_requested());
}

TEST(Interrupt, CallbackMayAnswerItsRequest) {
  InterruptRegistry registry;
  const auto ticket = registry.Register();
  const std::stop_callback answer(ticket.token, [&] { registry.Unregister(ticket.id); });
  EXPECT_TRUE(registry.Interrupt(ticket.id));
  EXPECT_EQ(registry.size(), 0U);
}

TEST(Interrupt, RacesWithAnswersHarmlessly) {
  InterruptRegistry registry;
  std::atomic<std::uintptr_t> newest{0};
  std::atomic<bool> done{false};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      while (!done.load()) {
        registry.Interrupt(InterruptRegistry::Id{newest.load()});
      }
    });
  }
  for (int i = 0; i < 5000; ++i) {
    const auto ticket = registry.Register();
    newest.store(static_cast<std::uintptr_t>(ticket.id));
    std::atomic<bool> rung{false};
    {
      const std::stop_callback ring(ticket.token, [&] { rung.store(true); });
    }
    registry.Unregister(ticket.id);
    EXPECT_LE(rung.load(), ticket.token.stop_requested());
  }
  done.store(true);
}

}  // namespace
}  // namespace bt::fuse
