// The stand-in of the Baseten service, for tests and for the demo: the REST API over TLS, the proxy with its token over
// TLS, one real OpenSSH server per node, and an emulated link in front of the ports.
//
//   auto standin = bt::standin::Standin::Start({.nodes = 2});          // Result<std::unique_ptr<Standin>>
//   (*standin)->Environment();                                         // BASETEN_BASE_URL, BASETEN_API_KEY, ...
//   (*standin)->node(0).directory();                                   // what the client will see as its workspace
//   (*standin)->link().SetRtt(40ms);                                   // proxy and plain ports; api_link() is the
//   API's
//   (*standin)->node(0).ArmFault({.action = tap::Action::kLoseReply, .request = "mkdir"});
//
// Everything listens on the loopback only, on ports of the kernel's choice, as the user who runs it (root or not).
//
// Threading: all calls from any thread. Calls do not wait for clients.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/standin/api_server.h"
#include "tests/support/standin/link.h"
#include "tests/support/standin/node.h"
#include "tests/support/standin/service.h"
#include "tests/support/standin/tls_far_end.h"

namespace bt::standin {

// Every field has an initialiser, so that designated initialisers may leave any of them out.
struct Options {
  // Where everything lives: node-0, node-1, ... are the workspaces (made when missing, never removed), run/ holds keys,
  // configuration and logs (0700). Empty: a temporary directory, removed at the end.
  std::string directory{};
  int nodes = 1;          // of every job
  std::string api_key{};  // empty: a random one
  std::vector<Job> jobs{Job{.id = "demo123"}};
  std::vector<Model> models{Model{.id = "model123", .deployment_id = "deploy1"}};
  Lifetimes lifetimes{};
  SshdOptions sshd{};
  // The link at the start; all of it can be changed later.
  std::chrono::microseconds rtt{0};
  std::chrono::microseconds api_rtt{0};
  std::uint64_t bytes_per_second = 0;
  std::uint64_t window = 0;
  std::string tap_program{};  // empty: bt-sftp-tap beside the running program
};

struct Counters {
  std::map<std::string, std::uint64_t> api_calls;  // by endpoint: "search", "sign", "job", ...
  LinkCounters link;                               // proxy and plain ports
  LinkCounters api_link;
  std::uint64_t proxy_accepted = 0;  // status byte 0 given
  std::uint64_t proxy_refused = 0;
  SftpCounters sftp;  // all nodes together
};

class Standin {
 public:
  // Blocks for some 100 ms: keys, certificates, servers.
  static Result<std::unique_ptr<Standin>> Start(const Options& options);
  // Ends everything: connections are closed, servers and what they started are killed.
  ~Standin();
  Standin(const Standin&) = delete;
  Standin& operator=(const Standin&) = delete;

  // Coordinates.
  std::string api_url() const;        // https://localhost:PORT
  std::string proxy_address() const;  // localhost:PORT, as the sign call gives it
  std::string ca_file() const;        // what SSL_CERT_FILE must name for clients to trust API and proxy
  const std::string& api_key() const;
  const std::string& directory() const;
  std::uint16_t plain_port(int node) const;  // a sshd over the same link without TLS and token, for other SSH clients
  // What a client's environment needs: BASETEN_BASE_URL, BASETEN_API_KEY, SSL_CERT_FILE.
  std::map<std::string, std::string> Environment() const;

  // The nodes, and the links in front of proxy and plain ports, and of the API.
  int nodes() const;
  Node& node(int index);
  Link& link();
  Link& api_link();
  // The round trip time of link(), told to the taps as well, which count turns by it. Prefer it to link().SetRtt().
  void SetRtt(std::chrono::microseconds rtt);

  // The service.
  void SetJobState(const std::string& job, const std::string& state);  // adds the job when it is unknown
  void SetLifetimes(const Lifetimes& lifetimes);
  Lifetimes lifetimes() const;
  void SetApiFault(const ApiFault& fault);
  void ClearApiFault() { SetApiFault({}); }
  Status SetApiDown(bool down);  // connecting to it is refused
  void SetApiCertificate(TlsCertificate kind);
  void SetProxyCertificate(TlsCertificate kind);
  void SetProxyRefusal(RefuseMode mode);

  Counters counters() const;
  double CpuSecondsOfServers() const;  // sshd, sftp-server and tap, all nodes

  // A key pair of the caller's and a certificate for it, without the API: for plain ports. Writes `file`, `file`.pub
  // and `file`-cert.pub. (Over the API: `bt-standin sign`.)
  Status WriteLogin(const std::string& file);

 private:
  struct Parts;
  explicit Standin(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace bt::standin
