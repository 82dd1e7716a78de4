#include "transport/access/api_client.h"

#include <algorithm>
#include <random>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <nlohmann/json.hpp>

#include "transport/base/sync.h"
#include "transport/base/units.h"

namespace bt::access {
namespace {

// A server that asks for more than this is as good as down.
constexpr std::chrono::milliseconds kLongestPause{120'000};

// Never throws: bytes that are not UTF-8 are replaced.
std::string Dump(const nlohmann::json& document) {
  return document.dump(-1, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace);
}

double RandomChance() {
  std::random_device device;
  return std::uniform_real_distribution<double>(0.0, 1.0)(device);
}

// Returns after `delay`, or earlier with the context's error.
Status Sleep(const OpContext& ctx, std::chrono::milliseconds delay) {
  Mutex mutex;
  CondVar never;
  OpContext nap{std::min(ctx.deadline, Clock::now() + delay), ctx.cancel};
  const MutexLock lock(mutex);
  while (nap.Check().ok()) {
    never.Wait(mutex, nap);
  }
  return ctx.Check();
}

}  // namespace

std::chrono::milliseconds RetryDelay(const RetryPolicy& policy, unsigned attempt, double chance,
                                     std::optional<std::chrono::seconds> retry_after) {
  std::chrono::milliseconds bound = policy.base;
  for (unsigned i = 0; i < attempt && bound < policy.cap; ++i) {
    bound *= 2;
  }
  bound = std::min(bound, policy.cap);
  const auto jitter = std::chrono::milliseconds(
      static_cast<std::chrono::milliseconds::rep>(static_cast<double>(bound.count()) * std::clamp(chance, 0.0, 1.0)));
  return jitter + retry_after.value_or(std::chrono::seconds(0));
}

ApiClient::ApiClient(Credentials credentials, ApiOptions options)
    : credentials_(std::move(credentials)),
      options_(std::move(options)),
      attempts_(options_.retry.attempts),
      http_(options_.http) {}

Result<JobInfo> ApiClient::FindJob(const OpContext& ctx, const Target& target) {
  const std::string request = Dump({{"job_id", target.job}});
  const std::string body = TRY(Exchange(ctx, Call::kSearch, target, "/v1/training_jobs/search", request));
  return ParseJobs(body, target.job);
}

Result<Grant> ApiClient::Sign(const OpContext& ctx, const Target& target, const std::string& project_id,
                              std::string_view public_key_line) {
  nlohmann::json request{{"public_key", public_key_line}};
  std::string path;
  if (target.kind == Target::Kind::kModel) {
    path = fmt::format("/v1/models/{}/deployments/{}/ssh/sign", target.model, target.deployment);
    if (!target.replica.empty()) {
      request["replica_id"] = target.replica;
    }
  } else {
    path = fmt::format("/v1/training_projects/{}/jobs/{}/ssh/sign", project_id, target.job);
    request["replica_id"] = std::to_string(target.node);
  }
  std::string body = TRY(Exchange(ctx, Call::kSign, target, path, Dump(request)));
  Result<Grant> grant = ParseGrant(body);
  Wipe(body);
  return grant;
}

Result<std::string> ApiClient::Exchange(const OpContext& ctx, Call call, const Target& target, const std::string& path,
                                        const std::string& body) {
  retry_after_ = -1;
  for (unsigned attempt = 0;; ++attempt) {
    Result<HttpAnswer> answer = http_.Post(ctx, credentials_.api_base + path, credentials_.api_key, body);
    if (!answer.ok()) {
      if (answer.error().code != Code::kUnavailable) {
        return answer.error();
      }
      TRY(Pause(ctx, attempt, answer.error(), std::nullopt));
      continue;
    }
    if (answer->status >= 200 && answer->status < 300) {
      return std::move(answer->body);
    }
    Error error = StatusError(call, target, answer->status, answer->body, credentials_.origin);
    error.text = WithoutKey(std::move(error.text));
    if (answer->status != 429 && answer->status < 500) {
      return error;
    }
    TRY(Pause(ctx, attempt, error, answer->retry_after));
  }
}

Status ApiClient::Pause(const OpContext& ctx, unsigned attempt, const Error& error,
                        std::optional<std::chrono::seconds> retry_after) {
  retry_after_ = retry_after ? retry_after->count() : -1;
  if (attempt + 1 >= attempts_) {
    Error last = error;
    if (attempt > 0) {
      last.text += fmt::format(" (tried {} times)", attempt + 1);
    }
    return last;
  }
  const double chance = options_.chance ? options_.chance() : RandomChance();
  const auto delay = RetryDelay(options_.retry, attempt, chance, retry_after);
  const bool too_late = ctx.deadline != TimePoint::max() && delay >= ctx.deadline - Clock::now();
  if (too_late || delay > kLongestPause) {
    Error last = error;
    last.text += retry_after ? fmt::format("; it asks to wait {}, which is too long", FormatDuration(*retry_after))
                             : std::string("; the timeout allows no further attempt");
    return last;
  }
  const std::string note = fmt::format("{}; trying again in {}", error.text, FormatDuration(delay));
  if (options_.on_retry) {
    options_.on_retry(note);
  } else {
    spdlog::warn("{} [{}]", note, error.tag);
  }
  return Sleep(ctx, delay);
}

std::optional<std::chrono::seconds> ApiClient::retry_after() const {
  const auto seconds = retry_after_.load();
  return seconds < 0 ? std::nullopt : std::optional(std::chrono::seconds(seconds));
}

std::string ApiClient::WithoutKey(std::string text) const {
  const std::string_view key = credentials_.api_key.Reveal();
  for (std::size_t at = text.find(key); !key.empty() && at != std::string::npos; at = text.find(key, at)) {
    text.replace(at, key.size(), "***");
    at += 3;
  }
  return text;
}

}  // namespace bt::access
