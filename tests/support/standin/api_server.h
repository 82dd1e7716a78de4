// Serves the API over TLS, one thread a connection, and breaks it by script.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <list>
#include <map>
#include <string>
#include <thread>

#include "tests/support/standin/http.h"
#include "tests/support/standin/service.h"
#include "transport/base/sync.h"

namespace bt::standin {

enum class ApiFaultKind {
  kNone,
  kStatus,   // `status` with an error in JSON, and Retry-After when set
  kHtml,     // `status` with a page of HTML, as a gateway answers
  kGarbage,  // `status` with something that is not JSON but says it is
  kEmpty,    // `status` without a body
  kSlow,     // the right answer, `wait` late
  kHang,     // no answer until the fault is cleared
  kReset,    // the connection is reset before TLS (counts connections, and knows no endpoint)
};

// What happens to the next calls.
struct ApiFault {
  ApiFaultKind kind = ApiFaultKind::kNone;
  std::string endpoint{};              // as Service::Endpoint(); empty: all
  int calls = 0;                       // how many calls; 0: no limit
  std::chrono::milliseconds lasts{0};  // and for how long; 0: no limit
  int status = 500;
  int retry_after = -1;  // seconds; -1: no such header
  std::chrono::milliseconds wait{0};
};

// Threading: any thread.
class ApiServer {
 public:
  ApiServer(Service& service, const TlsIdentities& identities);
  ~ApiServer();  // ends all connections
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;

  // A new connection: gives the client's end of it, not blocking, or none when it is to be reset.
  UniqueFd Connect();

  void SetFault(const ApiFault& fault);  // replaces the one before; kNone clears it
  void SetCertificate(TlsCertificate kind) { certificate_ = kind; }
  std::map<std::string, std::uint64_t> calls() const;  // by endpoint

 private:
  struct Session {
    int fd = -1;  // for shutdown() from outside; owned by the thread
    bool done = false;
    std::jthread thread;
  };

  void Serve(Session& session, UniqueFd fd);
  HttpResponse Respond(const HttpRequest& request);
  // The fault for this call, which is thereby used up by one.
  ApiFault TakeFault(const std::string& endpoint, bool connecting);
  void WaitOut(const ApiFault& fault);

  Service& service_;
  const TlsIdentities& identities_;
  std::atomic<TlsCertificate> certificate_{TlsCertificate::kGood};

  mutable Mutex mutex_;
  CondVar changed_;
  ApiFault fault_ GUARDED_BY(mutex_);
  TimePoint fault_ends_ GUARDED_BY(mutex_) = TimePoint::max();
  std::uint64_t fault_number_ GUARDED_BY(mutex_) = 0;  // of the fault set last, so that a hanging call sees a change
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::map<std::string, std::uint64_t> calls_ GUARDED_BY(mutex_);
  std::list<Session> sessions_ GUARDED_BY(mutex_);
};

}  // namespace bt::standin
