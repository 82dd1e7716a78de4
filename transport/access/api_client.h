// The two calls of the service that open the way to a container, with their retries.
//
// Threading: any thread, several at once. Each call blocks until its answer, ctx.deadline or ctx.cancel.
// Retries: 429, 5xx and network errors, with full jitter, honouring Retry-After, as long as `attempts` and the deadline
// allow; everything else fails at once. Both calls may safely run twice.
//
// Errors: kRefused (key, node, TLS certificate), kNotRunning (the job's state, no such job), kConfig (bad job id),
// kUnavailable (not reached, or failed again and again), kProtocol (an answer that cannot be right), kTimedOut,
// kInterrupted. Texts name what to do; they never hold the key.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "transport/access/api_replies.h"
#include "transport/access/credentials.h"
#include "transport/access/host_name.h"
#include "transport/access/http_client.h"
#include "transport/base/op_context.h"

namespace bt::access {

struct RetryPolicy {
  unsigned attempts = 4;  // in all
  std::chrono::milliseconds base{500};
  std::chrono::milliseconds cap{8'000};
};

// How long to wait after failed attempt `attempt` (from 0): a random part of min(cap, base * 2^attempt), on top of what
// the server asked for. `chance` is in [0, 1). Pure.
std::chrono::milliseconds RetryDelay(const RetryPolicy& policy, unsigned attempt, double chance,
                                     std::optional<std::chrono::seconds> retry_after);

struct ApiOptions {
  HttpOptions http;
  RetryPolicy retry;
  // Told before each wait: "The API cannot answer now (HTTP 503); trying again in 0.4 s". Called from the calling
  // thread.
  std::function<void(std::string_view)> on_retry;
  std::function<double()> chance;  // in [0, 1); empty: random
};

class ApiClient {
 public:
  ApiClient(Credentials credentials, ApiOptions options);

  // kNotRunning, tag access.no-such-job, when there is none. The state is the caller's to check (CheckRunning).
  Result<JobInfo> FindJob(const OpContext& ctx, const Target& target);

  // `project_id` is that of FindJob; models have none. `public_key_line` is one authorized_keys line.
  Result<Grant> Sign(const OpContext& ctx, const Target& target, const std::string& project_id,
                     std::string_view public_key_line);

  // From now on, of each call: for a caller that has a backoff of its own.
  void SetAttempts(unsigned attempts) { attempts_ = attempts; }
  // What the last call that failed was told to wait (Retry-After).
  std::optional<std::chrono::seconds> retry_after() const;

  const std::string& api_base() const { return credentials_.api_base; }

 private:
  // The body of a 2xx answer; the caller wipes it.
  Result<std::string> Exchange(const OpContext& ctx, Call call, const Target& target, const std::string& path,
                               const std::string& body);
  // Waits before the next attempt, or returns `error` when there is to be none.
  Status Pause(const OpContext& ctx, unsigned attempt, const Error& error,
               std::optional<std::chrono::seconds> retry_after);
  std::string WithoutKey(std::string text) const;

  const Credentials credentials_;
  const ApiOptions options_;
  std::atomic<unsigned> attempts_;
  std::atomic<std::chrono::seconds::rep> retry_after_{-1};  // -1: nothing
  HttpClient http_;
};

}  // namespace bt::access
