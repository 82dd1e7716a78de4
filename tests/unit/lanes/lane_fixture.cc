#include "tests/unit/lanes/lane_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>
#include <utility>

#include "transport/access/credentials.h"
#include "transport/access/environment.h"

namespace bt::lanes {
namespace {

using namespace std::chrono_literals;

// Passes everything on but its identity.
class Masked final : public LaneConnection {
 public:
  Masked(std::shared_ptr<LaneConnection> below, std::string host_key)
      : below_(std::move(below)), host_key_(std::move(host_key)) {}
  RemoteFs& fs() override { return below_->fs(); }
  const std::string& host_key() const override { return host_key_; }
  std::optional<Error> ended() const override { return below_->ended(); }
  TimePoint last_received() const override { return below_->last_received(); }
  void Abort(const Error& why) override { below_->Abort(why); }
  Result<std::shared_ptr<RemoteFs>> OpenChannel(const OpContext& ctx) override { return below_->OpenChannel(ctx); }

 private:
  const std::shared_ptr<LaneConnection> below_;
  const std::string host_key_;
};

template <typename T>
T Must(Result<T> result) {
  if (!result.ok()) {
    throw std::runtime_error(Describe(result.error()));
  }
  return std::move(result).value();
}

constexpr std::size_t kPiece = 1_MiB;

// Runs `work` with the number of each piece of `size` bytes, on several threads; the first error.
Status ForEachPiece(std::size_t size, unsigned threads, const std::function<Status(std::size_t, std::size_t)>& work) {
  std::atomic<std::size_t> next{0};
  Mutex mutex;
  Status first;
  std::vector<std::jthread> running;
  for (unsigned i = 0; i < threads; ++i) {
    running.emplace_back([&] {
      for (;;) {
        const std::size_t begin = next.fetch_add(kPiece);
        if (begin >= size) {
          return;
        }
        Status done = work(begin, std::min(kPiece, size - begin));
        if (!done) {
          MutexLock lock(mutex);
          first = first ? std::move(done) : first;
          next = size;
        }
      }
    });
  }
  running.clear();
  return first;
}

// The parent's number, and when the process began.
std::pair<pid_t, unsigned long long> ParentAndStart(const std::filesystem::path& process) {
  std::ifstream file(process / "stat");
  std::string text;
  std::getline(file, text);  // nothing when the process ends meanwhile
  const std::size_t after_name = text.rfind(") ");
  if (after_name == std::string::npos) {
    return {0, 0};
  }
  std::istringstream rest(text.substr(after_name + 2));
  std::string state;
  pid_t parent = 0;
  rest >> state >> parent;
  unsigned long long value = 0;
  for (int field = 5; field <= 22; ++field) {
    rest >> value;
  }
  return {state == "Z" ? 0 : parent, value};
}

}  // namespace

Result<std::shared_ptr<LaneConnection>> RecordingDialer::DialLane(const OpContext& ctx) {
  const bool lane = dials_++ > 0;
  if (lane && refuse_) {
    return Error{Code::kUnavailable, "no more connections, says the test", "test.refused", Fate::kNotSent};
  }
  auto connection = TRY(below_.DialLane(ctx));
  MutexLock lock(mutex_);
  if (lane && !host_key_.empty()) {
    return std::shared_ptr<LaneConnection>(std::make_shared<Masked>(std::move(connection), host_key_));
  }
  return connection;
}

void RecordingDialer::PretendHostKey(std::string key) {
  MutexLock lock(mutex_);
  host_key_ = std::move(key);
}

LaneTest::LaneTest() {
  standin_ = Must(standin::Standin::Start({}));
  std::map<std::string, std::string> variables = standin_->Environment();
  variables["HOME"] = standin_->directory();
  const auto environment = access::Environment::Of(std::move(variables));
  node_ =
      std::make_unique<NodeDialer>(Must(access::ParseTarget("demo123")), Must(access::FindCredentials(environment, {})),
                                   Must(ChooseKeyPair(environment)), DialerOptions::From(environment));
  node_->SetApiAttempts(1);
  dialer_ = std::make_unique<RecordingDialer>(*node_);
}

LaneTest::~LaneTest() { session_.reset(); }

LaneOptions LaneTest::Eager() {
  LaneOptions options;
  options.connections = 2;
  options.near = 0ms;  // so that it is two, on any machine
  options.worth_a_lane = 1;
  options.first_redial = 100ms;
  return options;
}

void LaneTest::Connect(const LaneOptions& options) {
  sessions_ = std::make_unique<LaneSessionDialer>(*dialer_, options);
  session_ = Must(sessions_->Dial(Soon()));
}

std::string LaneTest::Content(const std::string& name, std::size_t size) {
  std::string content(size, '\0');
  std::uint64_t state = std::hash<std::string>()(name) | 1U;
  for (std::size_t i = 0; i + 8 <= size; i += 8) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    std::copy_n(reinterpret_cast<const char*>(&state), 8, content.data() + i);
  }
  return content;
}

std::string LaneTest::LocalPath(const std::string& name) const { return standin_->node(0).directory() + "/" + name; }

RemotePath LaneTest::Path(const std::string& name) const { return Must(RemotePath::Parse(LocalPath(name))); }

std::string LaneTest::MakeFile(const std::string& name, std::size_t size) {
  std::string content = Content(name, size);
  std::ofstream(LocalPath(name), std::ios::binary) << content;
  const timespec times[2] = {{1'700'000'000, 0}, {1'700'000'000, 0}};
  ::utimensat(AT_FDCWD, LocalPath(name).c_str(), times, 0);
  return content;
}

std::unique_ptr<RemoteFile> LaneTest::Open(const std::string& name, const OpenFlags& flags) {
  return Must(fs().Open(Soon(), Path(name), flags, 0644)).file;
}

Result<std::string> LaneTest::ReadAll(RemoteFile& file, std::size_t size, unsigned threads) {
  std::string content(size, '\0');
  Status read = ForEachPiece(size, threads, [&](std::size_t begin, std::size_t length) -> Status {
    const auto out = std::as_writable_bytes(std::span(content)).subspan(begin, length);
    if (TRY(file.Read(Soon(), begin, out)) != length) {
      return Error{Code::kInternal, "a short read", "test.short"};
    }
    return {};
  });
  TRY(std::move(read));
  return content;
}

Status LaneTest::WriteAll(RemoteFile& file, const std::string& content, unsigned threads) {
  return ForEachPiece(content.size(), threads, [&](std::size_t begin, std::size_t length) {
    return file.Write(Soon(), begin, std::as_bytes(std::span(content)).subspan(begin, length));
  });
}

void LaneTest::ReadUntilConnections(RemoteFile& file, std::size_t size, unsigned connections) {
  ASSERT_TRUE(Eventually([&] { return ReadAll(file, size).ok() && session_->connections() >= connections; }));
}

bool LaneTest::Eventually(const std::function<bool()>& condition) {
  const TimePoint end = Clock::now() + 40s;
  while (!condition()) {
    if (Clock::now() > end) {
      return false;
    }
    std::this_thread::sleep_for(10ms);
  }
  return true;
}

std::vector<pid_t> LaneTest::Servers() const {
  std::vector<std::pair<unsigned long long, pid_t>> found;
  for (const auto& process : std::filesystem::directory_iterator("/proc")) {
    const std::string name = process.path().filename();
    if (std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; })) {
      const auto [parent, start] = ParentAndStart(process.path());
      if (parent == standin_->node(0).pid()) {
        found.emplace_back(start, std::stoi(name));
      }
    }
  }
  std::sort(found.begin(), found.end());
  std::vector<pid_t> servers;
  for (const auto& [start, pid] : found) {
    servers.push_back(pid);
  }
  return servers;
}

void LaneTest::KillYoungestServer() {
  const auto servers = Servers();
  ASSERT_GT(servers.size(), 1U);
  ::kill(servers.back(), SIGKILL);
}

}  // namespace bt::lanes
