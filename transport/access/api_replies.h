// What the service's answers mean: JSON (or something else entirely) to values and errors.
//
// Nothing in an answer is believed: unknown fields are ignored, missing ones are an error that names them, ids are
// checked before they become part of a URL, texts are cleaned and cut before they become part of a message.
//
// Threading: pure functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "transport/access/host_name.h"
#include "transport/access/secret.h"
#include "transport/base/result.h"

namespace bt::access {

struct JobInfo {
  std::string id;
  std::string project_id;
  std::string project_name;   // may be empty
  std::string status;         // "TRAINING_JOB_RUNNING"; empty when not told
  std::string instance_type;  // name; may be empty
};

// What opens the way to one node.
struct ProxyAddress {
  std::string host;
  std::uint16_t port = 0;

  bool operator==(const ProxyAddress&) const = default;
};

struct Grant {
  std::string certificate;  // one line: type, base64 and perhaps a comment
  Secret jwt;
  ProxyAddress proxy;
  std::optional<std::chrono::system_clock::time_point> expires_at;  // of the certificate
};

// Success when the job is RUNNING or its state was not told, else kNotRunning with the state and what it means.
Status CheckRunning(const JobInfo& job);

// The first job of a search's answer. kNotRunning (tag access.no-such-job) when the list is empty.
Result<JobInfo> ParseJobs(std::string_view body, const std::string& job);

Result<Grant> ParseGrant(std::string_view body);

// The server's own words in the body of a failed call: `error`, `detail` or `message`, the first of a list of strings,
// the text of a plain body. Printable, on one line, at most 300 bytes; empty when there are none (HTML, for example).
std::string ErrorText(std::string_view body);

// Which call failed: the same status means different things.
enum class Call { kSearch, kSign };

// Why `status` is no success. `key_origin` says whose key was refused. kUnavailable for 429 and 5xx (worth another
// try), kRefused, kNotRunning or kConfig otherwise.
Error StatusError(Call call, const Target& target, int status, std::string_view body, std::string_view key_origin);

// "2026-01-31T10:00:00Z", with or without a fraction, with Z or an offset; nullopt for anything else.
std::optional<std::chrono::system_clock::time_point> ParseIsoTime(std::string_view text);

}  // namespace bt::access
