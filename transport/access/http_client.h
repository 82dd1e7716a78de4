// One HTTPS POST at a time with libcurl: verified TLS, no redirects, a bounded answer, a deadline and a cancel that
// work at every stage, name resolution included. What the answer means is the caller's business.
//
// Threading: Post may be called from any thread, by several at once. It blocks until the answer, the deadline or the
// cancellation. Needs no SIGPIPE handler in the process.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "transport/access/ca_locations.h"
#include "transport/access/secret.h"
#include "transport/base/sync.h"

namespace bt::access {

struct HttpAnswer {
  int status = 0;
  std::string body;
  std::optional<std::chrono::seconds> retry_after;  // seconds or date in the header; here always from now
  std::string location;                             // of a redirect, which is not followed
};

struct HttpOptions {
  CaLocations ca;
  std::chrono::milliseconds connect_timeout{15'000};
  std::chrono::milliseconds attempt_timeout{30'000};  // the whole exchange
};

class HttpClient {
 public:
  explicit HttpClient(HttpOptions options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Any status is an answer. Errors: kUnavailable (not resolved, not connected, broken off, attempt timed out: worth
  // another try), kRefused (its TLS certificate does not verify), kConfig (the file of authorities cannot be read),
  // kProtocol (the answer is too big), kTimedOut and kInterrupted (the context's).
  Result<HttpAnswer> Post(const OpContext& ctx, const std::string& url, const Secret& bearer,
                          const std::string& json_body);

 private:
  struct Session;  // a CURLM, which holds open connections for the next call

  std::unique_ptr<Session> Borrow();
  void GiveBack(std::unique_ptr<Session>& session);

  const HttpOptions options_;
  Mutex mutex_;
  std::unique_ptr<Session> idle_ GUARDED_BY(mutex_);
};

}  // namespace bt::access
