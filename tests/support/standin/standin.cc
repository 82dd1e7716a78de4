#include "tests/support/standin/standin.h"

#include <fmt/format.h>
#include <openssl/rand.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <utility>

#include "tests/support/standin/link_loop.h"
#include "tests/support/standin/relay_far_end.h"
#include "tests/support/standin/sockets.h"

namespace bt::standin {
namespace {

namespace fs = std::filesystem;

using Nodes = std::vector<std::unique_ptr<Node>>;

std::string RandomKey() {
  std::array<unsigned char, 16> bytes{};
  RAND_bytes(bytes.data(), bytes.size());
  std::string text = "standin-";
  for (const unsigned char byte : bytes) {
    text += fmt::format("{:02x}", byte);
  }
  return text;
}

class Door final : public ProxyDoor {
 public:
  Door(const TlsIdentities& identities, TokenIssuer& tokens, const Nodes& nodes)
      : identities_(identities), tokens_(tokens), nodes_(nodes) {}

  SSL_CTX* tls_context() override { return identities_.context(certificate); }
  RefuseMode refuse_mode() override { return mode; }
  void CountAnswer(bool yes) override { ++(yes ? accepted : refused); }

  std::optional<std::uint16_t> Admit(std::string_view token) override {
    const Result<TokenClaims> claims = tokens_.Redeem(token, single_use);
    if (!claims.ok() || claims->node < 0 || static_cast<std::size_t>(claims->node) >= nodes_.size()) {
      return std::nullopt;
    }
    const std::uint16_t port = nodes_[static_cast<std::size_t>(claims->node)]->port();
    return port != 0 ? std::optional(port) : std::nullopt;
  }

  std::atomic<TlsCertificate> certificate{TlsCertificate::kGood};
  std::atomic<RefuseMode> mode{RefuseMode::kNone};
  std::atomic<bool> single_use{false};
  std::atomic<std::uint64_t> accepted{0};
  std::atomic<std::uint64_t> refused{0};

 private:
  const TlsIdentities& identities_;
  TokenIssuer& tokens_;
  const Nodes& nodes_;
};

// A directory that goes away with its owner, if it was made for this run only.
class Home {
 public:
  static Result<Home> Open(const std::string& directory) {
    Home home;
    if (directory.empty()) {
      const char* base = std::getenv("TMPDIR");
      std::string name = fmt::format("{}/bt-standin-XXXXXX", base != nullptr && *base != '\0' ? base : "/tmp");
      if (::mkdtemp(name.data()) == nullptr) {
        return Error{Code::kInternal, "cannot make a directory like " + name, "standin.directory"};
      }
      home.temporary_ = home.path_ = name;
    } else {
      home.path_ = fs::absolute(directory).lexically_normal();
    }
    std::error_code problem;
    fs::create_directories(home.path_ + "/run", problem);
    if (problem) {
      return Error{Code::kInternal, fmt::format("cannot make {}/run: {}", home.path_, problem.message()),
                   "standin.directory"};
    }
    fs::permissions(home.path_ + "/run", fs::perms::owner_all, problem);
    return home;
  }

  Home(Home&& other) noexcept
      : path_(std::move(other.path_)), temporary_(std::exchange(other.temporary_, std::string())) {}
  Home& operator=(Home&&) = delete;
  ~Home() {
    if (!temporary_.empty()) {
      std::error_code ignored;
      fs::remove_all(temporary_, ignored);
    }
  }

  const std::string& path() const { return path_; }
  std::string run() const { return path_ + "/run"; }

 private:
  Home() = default;
  std::string path_;
  std::string temporary_;
};

std::string TapBesideProgram() {
  std::error_code ignored;
  return fs::read_symlink("/proc/self/exe", ignored).parent_path() / "bt-sftp-tap";
}

}  // namespace

// In the order in which they are made; destroyed the other way round.
struct Standin::Parts {
  explicit Parts(Home where) : home(std::move(where)) {}
  ~Parts() {
    if (loop) {
      loop->RemoveLinks();  // while what they lead to is still there
    }
  }

  Home home;
  std::string api_key;
  Spawner spawner;
  std::unique_ptr<TlsIdentities> identities;
  std::unique_ptr<SshAuthority> authority;
  TokenIssuer tokens;
  Nodes nodes;
  std::unique_ptr<Door> door;
  std::unique_ptr<Service> service;
  std::unique_ptr<ApiServer> api;
  std::unique_ptr<LinkLoop> loop;
  std::unique_ptr<Link> link;
  std::unique_ptr<Link> api_link;
  std::uint16_t api_port = 0;
  std::uint16_t proxy_port = 0;
  std::vector<std::uint16_t> plain_ports;
};

Standin::Standin(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Standin::~Standin() = default;

Result<std::unique_ptr<Standin>> Standin::Start(const Options& options) {
  auto parts = std::make_unique<Parts>(TRY(Home::Open(options.directory)));
  const std::string run = parts->home.run();
  const std::string tap_program = options.tap_program.empty() ? TapBesideProgram() : options.tap_program;
  if (options.sshd.sftp == SftpMode::kTap && !fs::exists(tap_program)) {
    return Error{Code::kInternal, tap_program + " is missing: build the target bt-sftp-tap", "standin.tap"};
  }
  parts->api_key = options.api_key.empty() ? RandomKey() : options.api_key;
  parts->identities = TRY(TlsIdentities::Make(run + "/ca.pem"));
  parts->authority = TRY(SshAuthority::Open(parts->spawner, run));
  for (int index = 0; index < options.nodes; ++index) {
    parts->nodes.push_back(
        TRY(Node::Start(parts->spawner, {.index = index,
                                         .nodes = options.nodes,
                                         .directory = fmt::format("{}/node-{}", parts->home.path(), index),
                                         .run_dir = run,
                                         .user_ca = parts->authority->public_key_file(),
                                         .tap_program = tap_program,
                                         .sshd = options.sshd})));
  }
  parts->door = std::make_unique<Door>(*parts->identities, parts->tokens, parts->nodes);
  parts->loop = TRY(LinkLoop::Start());
  parts->link = std::make_unique<Link>(*parts->loop);
  parts->api_link = std::make_unique<Link>(*parts->loop);
  parts->loop->AddLink(*parts->link);
  parts->loop->AddLink(*parts->api_link);
  parts->proxy_port = TRY(parts->loop->AddListener(
      *parts->link, 0, [door = parts->door.get()] { return std::make_unique<TlsFarEnd>(*door); }));
  for (const std::unique_ptr<Node>& node : parts->nodes) {
    parts->plain_ports.push_back(TRY(parts->loop->AddListener(*parts->link, 0, [server = node.get()] {
      return std::make_unique<RelayFarEnd>([server] {
        const std::uint16_t port = server->port();
        return port != 0 ? ConnectLoopback(port) : UniqueFd();
      });
    })));
  }
  parts->service =
      std::make_unique<Service>(ServiceConfig{.api_key = parts->api_key,
                                              .proxy_address = fmt::format("localhost:{}", parts->proxy_port),
                                              .nodes = options.nodes,
                                              .jobs = options.jobs,
                                              .models = options.models,
                                              .lifetimes = options.lifetimes},
                                *parts->authority, parts->tokens);
  parts->api = std::make_unique<ApiServer>(*parts->service, *parts->identities);
  parts->api_port = TRY(parts->loop->AddListener(*parts->api_link, 0, [api = parts->api.get()] {
    return std::make_unique<RelayFarEnd>([api] { return api->Connect(); });
  }));
  std::unique_ptr<Standin> standin(new Standin(std::move(parts)));
  standin->SetLifetimes(options.lifetimes);
  standin->SetRtt(options.rtt);
  standin->api_link().SetRtt(options.api_rtt);
  standin->link().SetRate(options.bytes_per_second);
  standin->link().SetWindow(options.window);
  return standin;
}

std::string Standin::api_url() const { return fmt::format("https://localhost:{}", parts_->api_port); }
std::string Standin::proxy_address() const { return fmt::format("localhost:{}", parts_->proxy_port); }
std::string Standin::ca_file() const { return parts_->home.run() + "/ca.pem"; }
const std::string& Standin::api_key() const { return parts_->api_key; }
const std::string& Standin::directory() const { return parts_->home.path(); }
std::uint16_t Standin::plain_port(int node) const { return parts_->plain_ports.at(static_cast<std::size_t>(node)); }

std::map<std::string, std::string> Standin::Environment() const {
  return {{"BASETEN_BASE_URL", api_url()}, {"BASETEN_API_KEY", api_key()}, {"SSL_CERT_FILE", ca_file()}};
}

int Standin::nodes() const { return static_cast<int>(parts_->nodes.size()); }
Node& Standin::node(int index) { return *parts_->nodes.at(static_cast<std::size_t>(index)); }
Link& Standin::link() { return *parts_->link; }
Link& Standin::api_link() { return *parts_->api_link; }

void Standin::SetRtt(std::chrono::microseconds rtt) {
  for (const std::unique_ptr<Node>& node : parts_->nodes) {
    node->SetRtt(rtt);
  }
  parts_->link->SetRtt(rtt);
}

void Standin::SetJobState(const std::string& job, const std::string& state) {
  parts_->service->SetJobState(job, state);
}

void Standin::SetLifetimes(const Lifetimes& lifetimes) {
  parts_->service->SetLifetimes(lifetimes);
  parts_->door->single_use = lifetimes.token_single_use;
}

Lifetimes Standin::lifetimes() const { return parts_->service->lifetimes(); }
void Standin::SetApiFault(const ApiFault& fault) { parts_->api->SetFault(fault); }
Status Standin::SetApiDown(bool down) { return parts_->api_link->RefuseConnections(down); }
void Standin::SetApiCertificate(TlsCertificate kind) { parts_->api->SetCertificate(kind); }
void Standin::SetProxyCertificate(TlsCertificate kind) { parts_->door->certificate = kind; }
void Standin::SetProxyRefusal(RefuseMode mode) { parts_->door->mode = mode; }

Counters Standin::counters() const {
  Counters counters{.api_calls = parts_->api->calls(),
                    .link = parts_->link->counters(),
                    .api_link = parts_->api_link->counters(),
                    .proxy_accepted = parts_->door->accepted,
                    .proxy_refused = parts_->door->refused,
                    .sftp = {}};
  for (const std::unique_ptr<Node>& node : parts_->nodes) {
    const SftpCounters of_node = node->sftp_counters();
    counters.sftp.sessions += of_node.sessions;
    counters.sftp.replies += of_node.replies;
    counters.sftp.bytes_read += of_node.bytes_read;
    counters.sftp.bytes_written += of_node.bytes_written;
    counters.sftp.turns += of_node.turns;
    counters.sftp.faults_fired += of_node.faults_fired;
    for (const auto& [name, count] : of_node.requests) {
      counters.sftp.requests[name] += count;
    }
  }
  return counters;
}

double Standin::CpuSecondsOfServers() const {
  double sum = 0;
  for (const std::unique_ptr<Node>& node : parts_->nodes) {
    sum += node->CpuSeconds();
  }
  return sum;
}

Status Standin::WriteLogin(const std::string& file) {
  if (!fs::exists(file)) {
    TRY(MakeSshKey(parts_->spawner, file, parts_->home.run() + "/keygen.log"));
  }
  std::string public_key;
  std::getline(std::ifstream(file + ".pub") >> std::ws, public_key);
  const std::string certificate =
      TRY(parts_->authority->Sign(public_key, "login", "baseten", parts_->service->lifetimes().certificate));
  std::ofstream out(file + "-cert.pub");
  out << certificate << '\n';
  if (!out.flush()) {
    return Error{Code::kInternal, "cannot write " + file + "-cert.pub", "standin.login"};
  }
  return {};
}

}  // namespace bt::standin
