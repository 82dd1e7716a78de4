// Many threads on one RemoteFs.
#include <atomic>
#include <thread>

#include "tests/contract/contract_test.h"

namespace bt::contract {
namespace {

BT_CONTRACT_SUITE(Parallel, FullBackends);

constexpr int kThreads = 32;

void RunOnThreads(const std::function<void(int)>& work) {
  std::vector<std::jthread> threads;
  threads.reserve(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&work, i] { work(i); });
  }
}

TEST_P(Parallel, ThreadsWithFilesOfTheirOwnDoNotDisturbEachOther) {
  RunOnThreads([this](int id) {
    const std::string name = "t" + std::to_string(id);
    ASSERT_TRUE(Succeeds(fs().MakeDirectory(Ctx(), P(name), 0755)));
    for (int round = 0; round < 5; ++round) {
      const std::string content =
          Pattern(30'000 + static_cast<std::size_t>(id * 100 + round), static_cast<std::uint32_t>(id * 1000 + round));
      const RemotePath path = P(name + "/a");
      const RemotePath moved = P(name + "/b");
      {
        const auto file = Open(path, kCreateNew);
        ASSERT_TRUE(file);
        ASSERT_TRUE(Succeeds(WriteAt(*file, 0, content)));
        ASSERT_TRUE(ReadAt(*file, 0, content.size() + 10) == content);
      }
      ASSERT_EQ(MustLstat(path).size, content.size());
      ASSERT_TRUE(Succeeds(fs().Rename(Ctx(), path, moved, RenameMode::kNoReplace)));
      ASSERT_EQ(List(P(name)), std::set<std::string>{"b"});
      ASSERT_TRUE(Fails(fs().Lstat(Ctx(), path), Code::kNotFound));
      ASSERT_TRUE(Succeeds(fs().RemoveFile(Ctx(), moved)));
    }
    ASSERT_TRUE(Succeeds(fs().RemoveDirectory(Ctx(), P(name))));
  });
  EXPECT_TRUE(List(root()).empty());
}

TEST_P(Parallel, ThreadsShareOneFile) {
  constexpr std::size_t kSlice = 20'000;
  const std::string content = Pattern(kThreads * kSlice);
  const auto file = Open(P("shared"), kCreate);
  ASSERT_TRUE(file);
  RunOnThreads([&](int id) {
    const std::size_t offset = static_cast<std::size_t>(id) * kSlice;
    ASSERT_TRUE(Succeeds(WriteAt(*file, offset, std::string_view(content).substr(offset, kSlice))));
    ASSERT_TRUE(ReadAt(*file, offset, kSlice) == content.substr(offset, kSlice));
  });
  EXPECT_TRUE(server().ReadFile(P("shared")) == content);
  RunOnThreads([&](int id) {
    const std::size_t offset = static_cast<std::size_t>(id) * 777;
    ASSERT_TRUE(ReadAt(*file, offset, content.size()) == content.substr(offset));
  });
}

TEST_P(Parallel, AppendsAreNeitherLostNorMixed) {
  RunOnThreads([this](int id) {
    const auto file = Open(P("log"), kAppend);
    ASSERT_TRUE(file);
    for (int i = 0; i < 10; ++i) {
      ASSERT_TRUE(Succeeds(WriteAt(*file, 0, std::string(9, static_cast<char>('A' + id)) + "\n")));
    }
  });
  const std::string log = server().ReadFile(P("log"));
  ASSERT_EQ(log.size(), kThreads * 10U * 10U);
  for (std::size_t line = 0; line < log.size(); line += 10) {
    EXPECT_EQ(log.substr(line, 10), std::string(9, log[line]) + "\n");
  }
}

TEST_P(Parallel, OneOfManyExclusiveCreationsWins) {
  std::atomic<int> won = 0;
  std::atomic<int> refused = 0;
  RunOnThreads([&](int) {
    const Result<OpenedFile> opened = fs().Open(Ctx(), P("lock"), kCreateNew, 0644);
    (opened.ok() ? won : refused)++;
    if (!opened.ok()) {
      EXPECT_TRUE(Fails(opened, Code::kExists));
    }
  });
  EXPECT_EQ(won, 1);
  EXPECT_EQ(refused, kThreads - 1);
}

TEST_P(Parallel, AnswersBelongToTheirQuestions) {
  for (int i = 0; i < kThreads; ++i) {
    server().WriteFile(P("f" + std::to_string(i)), std::string(static_cast<std::size_t>(i), 'x'));
  }
  RunOnThreads([this](int id) {
    for (int i = 0; i < 50; ++i) {
      const int which = (id * 7 + i) % kThreads;
      ASSERT_EQ(MustLstat(P("f" + std::to_string(which))).size, static_cast<std::uint64_t>(which));
      ASSERT_TRUE(Fails(fs().Lstat(Ctx(), P("none" + std::to_string(i))), Code::kNotFound));
    }
  });
}

TEST_P(Parallel, CancellingOneCallLeavesTheOthersAlone) {
  server().WriteFile(P("a"), Pattern(1_MiB));
  const auto file = Open(P("a"), kRead);
  ASSERT_TRUE(file);
  const std::string content = Pattern(1_MiB);
  RunOnThreads([&](int id) {
    for (int i = 0; i < 5; ++i) {
      if (id % 2 == 0) {
        ASSERT_TRUE(ReadAt(*file, 0, 1_MiB) == content);
        continue;
      }
      // Ends somewhere on its way, or after: either way with the data or with the reason.
      std::stop_source source;
      std::vector<std::byte> buffer(1_MiB);
      std::jthread canceller([&source] { source.request_stop(); });
      const Result<std::size_t> got = file->Read(OpContext{TimePoint::max(), source.get_token()}, 0, buffer);
      canceller.join();
      if (got.ok()) {
        ASSERT_EQ(got.value(), 1_MiB);
      } else {
        ASSERT_TRUE(Fails(got, Code::kInterrupted));
      }
    }
  });
}

}  // namespace
}  // namespace bt::contract
