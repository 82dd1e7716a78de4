// The service and the container misbehave: restarts, another container, short lifetimes, API outages, the job's end.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <thread>

#include <fmt/format.h>

#include "tests/fault/fault_test.h"
#include "transport/base/unique_fd.h"

namespace bt::fault {
namespace {

class Service : public FaultTest {
 protected:
  void RecoverFromApiOutages(seconds lasting);
  UniqueFd Open(const char* name, int flags) {
    UniqueFd fd(::open((mount() / name).c_str(), flags | O_CLOEXEC, 0644));
    EXPECT_TRUE(fd) << name << ": " << errno;
    return fd;
  }
  // The text, or the error's name.
  static std::string Read(const UniqueFd& fd) {
    std::array<char, 100> buffer{};
    const ssize_t got = ::pread(fd.get(), buffer.data(), buffer.size(), 0);
    return got >= 0 ? std::string(buffer.data(), static_cast<std::size_t>(got)) : std::string(strerrorname_np(errno));
  }
};

using SoakService = Service;

TEST_F(Service, OpenFilesSurviveARestartOfTheServer) {
  Mount();
  ASSERT_EQ(Shell("echo one > $S/r; echo two > $S/w").exit_code, 0);
  const UniqueFd reader = Open("r", O_RDONLY);
  const UniqueFd writer = Open("w", O_RDWR);
  ASSERT_EQ(::pwrite(writer.get(), "TWO", 3, 0), 3);
  ASSERT_EQ(::fsync(writer.get()), 0);
  ASSERT_TRUE(service().node(0).Restart(standin::HostKey::kSame).ok());
  EXPECT_EQ(Read(reader), "one\n");
  ASSERT_EQ(::pwrite(writer.get(), "2", 1, 3), 1);
  ASSERT_EQ(::fsync(writer.get()), 0);
  EXPECT_EQ(Shell("cat $S/w").out, "TWO2");
  EXPECT_GE(Status().reconnects, 1U);
  EXPECT_EQ(Status().containers, 1U);
}

TEST_F(Service, AnotherContainerMakesOpenFilesStale) {
  Mount();
  ASSERT_EQ(Shell("echo one > $S/r; echo two > $S/w").exit_code, 0);
  const UniqueFd reader = Open("r", O_RDONLY);
  const UniqueFd writer = Open("w", O_RDWR);
  ASSERT_TRUE(service().node(0).Restart(standin::HostKey::kNew).ok());
  EXPECT_EQ(Read(reader), "ESTALE");
  const bool refused = ::pwrite(writer.get(), "XXX", 3, 0) < 0 || ::fsync(writer.get()) < 0;
  EXPECT_TRUE(refused);
  EXPECT_EQ(errno, ESTALE);
  EXPECT_EQ(Shell("cat $S/w; cat $M/r $M/w").out, "two\none\ntwo\n");
  EXPECT_EQ(Status().containers, 2U);
  EXPECT_NE(Log().find("another container answers"), std::string::npos);
}

TEST_F(Service, LivesOnShortLivedCertificatesAndSingleUseTokens) {
  service().SetLifetimes({.certificate = seconds(5), .token = seconds(2), .token_single_use = true});
  Mount();
  for (int i = 1; i <= 20; ++i) {
    service().link().CutAll();
    const Finished done = Shell(fmt::format("echo {0} > $M/file{0} && cat $S/file{0}", i));
    ASSERT_EQ(done.out, fmt::format("{}\n", i)) << done.all() << Log();
  }
  EXPECT_GE(Status().reconnects, 20U);
}

void Service::RecoverFromApiOutages(seconds lasting) {
  Mount({"--timeout", "120s"});
  using Kind = standin::ApiFaultKind;
  const auto fault = [lasting](Kind kind, int status) {
    standin::ApiFault broken;
    broken.kind = kind;
    broken.status = status;
    broken.lasts = lasting;
    return broken;
  };
  const std::vector<std::pair<const char*, standin::ApiFault>> outages{
      {"500", fault(Kind::kStatus, 500)},      {"429", fault(Kind::kStatus, 429)}, {"html", fault(Kind::kHtml, 200)},
      {"garbage", fault(Kind::kGarbage, 200)}, {"hang", fault(Kind::kHang, 0)},    {"reset", fault(Kind::kReset, 0)},
  };
  for (const auto& [name, outage] : outages) {
    SCOPED_TRACE(name);
    // A file of its own each time: what was read before would be answered from memory.
    ASSERT_EQ(Shell(fmt::format("echo x > $S/{}", name)).exit_code, 0);
    service().SetApiFault(outage);
    service().link().CutAll();
    const auto began = std::chrono::steady_clock::now();
    const Finished done = Shell(fmt::format("cat $M/{}", name));
    const auto took = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - began);
    EXPECT_EQ(done.out, "x\n") << done.all() << Log();
    if (outage.kind != Kind::kReset) {  // that meets new connections only, and the client keeps one
      EXPECT_GE(took, lasting - seconds(1)) << "nothing was asked of the server";
    }
    std::cout << fmt::format("{}: back after {} ms\n", name, took.count());
    service().ClearApiFault();
  }
}

TEST_F(Service, RecoversFromApiOutages) { RecoverFromApiOutages(seconds(2)); }
TEST_F(SoakService, RecoversFromLongApiOutages) { RecoverFromApiOutages(seconds(20)); }

TEST_F(Service, RefusingProxyIsWorthAnotherTry) {
  Mount();
  ASSERT_EQ(Shell("echo x > $S/f").exit_code, 0);
  service().SetProxyRefusal(standin::RefuseMode::kStatusByte);
  service().link().CutAll();
  const auto waiting = StartShell("exec cat $M/f");
  ASSERT_TRUE(WaitUntil([&] { return service().counters().proxy_refused >= 2; }));
  service().SetProxyRefusal(standin::RefuseMode::kNone);
  EXPECT_EQ(waiting->Wait(seconds(30)).out, "x\n") << Log();
}

TEST_F(Service, StoppedJobIsDialledSlowlyAndSaidSo) {
  Mount();
  ASSERT_EQ(Shell("echo cached > $S/c; echo other > $S/o").exit_code, 0);
  const UniqueFd cached = Open("c", O_RDONLY);
  ASSERT_EQ(Read(cached), "cached\n");
  service().SetJobState("demo123", "STOPPED");
  service().link().CutAll();
  ASSERT_TRUE(WaitForLink("refused"));
  const auto calls = [&] {
    std::uint64_t sum = 0;
    for (const auto& [name, count] : service().counters().api_calls) {
      sum += count;
    }
    return sum;
  };
  const std::uint64_t before = calls();
  const Finished failed = Shell("cat $M/o");
  EXPECT_NE(failed.exit_code, 0);
  EXPECT_EQ(Read(cached), "cached\n");
  std::this_thread::sleep_for(seconds(3));
  EXPECT_LE(calls() - before, 2U);
  EXPECT_NE(Status().last_error.find("STOPPED"), std::string::npos) << Status().last_error;
  EXPECT_NE(Log().find("STOPPED"), std::string::npos) << Log();
}

}  // namespace
}  // namespace bt::fault
