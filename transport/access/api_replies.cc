#include "transport/access/api_replies.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace bt::access {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxShownBytes = 300;
constexpr std::size_t kMaxJwtBytes = 64 * 1024;
constexpr std::string_view kStatePrefix = "TRAINING_JOB_";

Error Fail(Code code, std::string text, std::string tag) {
  return Error{code, std::move(text), std::move(tag), Fate::kNotSent};
}

// A string member; empty when it is missing or of another type.
std::string TextOf(const json& object, const char* key) {
  if (!object.is_object()) {
    return {};
  }
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// A member that may be a string or an object with a name.
std::string NameOf(const json& object, const char* key) {
  if (!object.is_object()) {
    return {};
  }
  const auto found = object.find(key);
  return found == object.end() ? std::string() : found->is_object() ? TextOf(*found, "name") : TextOf(object, key);
}

Result<json> ParseBody(std::string_view body) {
  json document = json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded()) {
    return Fail(Code::kUnavailable,
                "The API answered with something that is not JSON. Does a proxy or a sign-in page stand in between, or "
                "is BASETEN_BASE_URL wrong?",
                "access.not-json");
  }
  return document;
}

Error Missing(std::string_view what) {
  return Fail(Code::kProtocol, fmt::format("The API's answer lacks {}. Is there a newer bt-mount?", what),
              "access.bad-reply");
}

bool SafeInUrl(std::string_view id) {
  return !id.empty() && id.size() <= 128 && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

std::string Clean(std::string_view text) {
  std::string clean;
  for (const char c : text) {
    const bool blank = static_cast<unsigned char>(c) <= ' ' || c == '\x7f';
    if (!blank) {
      clean += c;
    } else if (!clean.empty() && clean.back() != ' ') {
      clean += ' ';
    }
    if (clean.size() >= kMaxShownBytes) {
      // Not in the middle of a UTF-8 character.
      while (!clean.empty() && (static_cast<unsigned char>(clean.back()) & 0xC0U) == 0x80U) {
        clean.pop_back();
      }
      clean.pop_back();
      return clean + "...";
    }
  }
  while (clean.ends_with(' ')) {
    clean.pop_back();
  }
  return clean;
}

std::string FirstText(const json& value, int depth) {
  if (value.is_string()) {
    return value.get<std::string>();
  }
  if (depth == 0) {
    return {};
  }
  if (value.is_array()) {
    for (const json& item : value) {
      if (std::string text = FirstText(item, depth - 1); !text.empty()) {
        return text;
      }
    }
  }
  if (value.is_object()) {
    for (const char* key : {"error", "detail", "message", "msg"}) {
      if (const auto found = value.find(key); found != value.end()) {
        if (std::string text = FirstText(*found, depth - 1); !text.empty()) {
          return text;
        }
      }
    }
  }
  return {};
}

std::string LowerCase(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

std::string ShortState(std::string_view status) {
  if (status.starts_with(kStatePrefix)) {
    status.remove_prefix(kStatePrefix.size());
  }
  return Clean(status);
}

Status SplitAddress(std::string_view address, Grant& grant) {
  const std::size_t colon = address.rfind(':');
  std::string_view host = address.substr(0, colon);
  const std::string_view port = colon == std::string_view::npos ? std::string_view() : address.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']') && host.size() > 2) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    host = {};
  }
  unsigned number = 0;
  const char* end = port.data() + port.size();
  const auto [rest, problem] = std::from_chars(port.data(), end, number);
  const bool port_ok = !port.empty() && problem == std::errc() && rest == end && number >= 1 && number <= 65535;
  const bool host_ok = !host.empty() && host.size() <= 253 && std::all_of(host.begin(), host.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
           c == '_' || c == ':';
  });
  if (!port_ok || !host_ok) {
    return Fail(Code::kProtocol, "The API named a proxy address that is not host:port", "access.bad-reply");
  }
  grant.proxy.host = std::string(host);
  grant.proxy.port = static_cast<std::uint16_t>(number);
  return {};
}

}  // namespace

Status CheckRunning(const JobInfo& job) {
  if (job.status.empty() || job.status == "TRAINING_JOB_RUNNING" || job.status == "RUNNING") {
    return {};
  }
  const std::string state = ShortState(job.status);
  static constexpr std::array<std::string_view, 4> kOver{"COMPLETED", "FAILED", "DEPLOY_FAILED", "STOPPED"};
  const bool over = std::find(kOver.begin(), kOver.end(), state) != kOver.end();
  return Fail(
      Code::kNotRunning,
      fmt::format("Job {} is {}, and only a RUNNING job can be mounted. {}", job.id, state,
                  over ? "It is over: its container is gone. Checkpoints that the platform has copied are still "
                         "there (`truss train get_checkpoint_urls`)."
                       : "Wait until it runs (`truss train view`)."),
      "access.not-running");
}

Result<JobInfo> ParseJobs(std::string_view body, const std::string& job) {
  const json document = TRY(ParseBody(body));
  const json* list = nullptr;
  if (document.is_array()) {
    list = &document;
  } else if (document.is_object()) {
    const auto found = document.find("training_jobs");
    list = found != document.end() && found->is_array() ? &*found : nullptr;
  }
  if (list == nullptr) {
    return Missing("the list \"training_jobs\"");
  }
  if (list->empty()) {
    return Fail(Code::kNotRunning,
                fmt::format("There is no training job {}. Is the id right, and does the API key belong to its "
                            "organisation? `truss train view` lists the jobs.",
                            job),
                "access.no-such-job");
  }
  // The one asked for, should the service ever send neighbours too.
  const auto same = std::find_if(list->begin(), list->end(), [&](const json& one) { return TextOf(one, "id") == job; });
  const json& entry = same != list->end() ? *same : list->front();
  JobInfo info;
  info.id = job;
  info.status = TextOf(entry, "current_status");
  info.project_id = TextOf(entry, "training_project_id");
  info.instance_type = NameOf(entry, "instance_type");
  if (entry.is_object()) {
    if (const auto project = entry.find("training_project"); project != entry.end()) {
      info.project_name = TextOf(*project, "name");
      if (info.project_id.empty()) {
        info.project_id = TextOf(*project, "id");
      }
    }
  }
  if (info.project_id.empty()) {
    return Missing("the id of the job's project");
  }
  if (!SafeInUrl(info.project_id)) {
    return Fail(Code::kProtocol, "The API named a project id that cannot be one", "access.bad-reply");
  }
  return info;
}

Result<Grant> ParseGrant(std::string_view body) {
  json document = TRY(ParseBody(body));
  Grant grant;
  if (document.is_object()) {
    if (const auto found = document.find("jwt"); found != document.end() && found->is_string()) {
      auto& text = found->get_ref<std::string&>();
      grant.jwt = Secret(text);
      Wipe(text);
    }
  }
  grant.certificate = TextOf(document, "ssh_certificate");
  while (!grant.certificate.empty() && static_cast<unsigned char>(grant.certificate.back()) <= ' ') {
    grant.certificate.pop_back();
  }
  const std::string address = TextOf(document, "proxy_address");
  if (grant.certificate.empty()) {
    return Missing("\"ssh_certificate\"");
  }
  if (grant.jwt.empty()) {
    return Missing("\"jwt\"");
  }
  if (address.empty()) {
    return Missing("\"proxy_address\"");
  }
  if (grant.jwt.Reveal().size() > kMaxJwtBytes || grant.certificate.find('\n') != std::string::npos) {
    return Fail(Code::kProtocol, "The API's certificate or token cannot be one", "access.bad-reply");
  }
  TRY(SplitAddress(address, grant));
  grant.expires_at = ParseIsoTime(TextOf(document, "ssh_cert_expires_at"));
  return grant;
}

std::string ErrorText(std::string_view body) {
  const json document = json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!document.is_discarded()) {
    return Clean(FirstText(document, 4));
  }
  const std::size_t first = body.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || body[first] == '<' || body.find('\0') != std::string_view::npos) {
    return {};
  }
  return Clean(body);
}

Error StatusError(Call call, const Target& target, int status, std::string_view body, std::string_view key_origin) {
  const std::string text = ErrorText(body);
  const std::string said = text.empty() ? fmt::format("HTTP {}", status) : fmt::format("HTTP {}: {}", status, text);
  const std::string lower = LowerCase(text);
  const auto mentions = [&lower](std::string_view word) { return lower.find(word) != std::string::npos; };

  if (status == 429 || status >= 500) {
    return Fail(Code::kUnavailable, fmt::format("The API cannot answer now ({})", said), "access.api-unavailable");
  }
  if (status == 401 || status == 403) {
    return Fail(
        Code::kRefused,
        fmt::format("The API refused the key of {} ({}). It may be wrong, revoked or of another organisation; keys "
                    "are made at https://app.baseten.co/settings/api_keys.",
                    key_origin, said),
        "access.key-refused");
  }
  if (status >= 300 && status < 400) {
    return Fail(Code::kUnavailable,
                fmt::format("The API's address answered with a redirection ({}), which is not followed with a key. Is "
                            "BASETEN_BASE_URL or remote_url wrong, or does a sign-in page stand in between?",
                            said),
                "access.redirect");
  }
  // From here on only the service's words tell one case from another.
  if (mentions("running state") || mentions("must be running")) {
    return Fail(Code::kNotRunning, fmt::format("{} cannot be reached: {}", target.display_name(), said),
                "access.not-running");
  }
  if (mentions("invalid job id") || mentions("valid hash id")) {
    return Fail(Code::kConfig,
                fmt::format("\"{}\" is not the id of a training job ({}). `truss train view` lists the jobs.",
                            target.job, said),
                "access.bad-job-id");
  }
  const bool node_in_question = call == Call::kSign && target.kind == Target::Kind::kTrainingJob &&
                                (status == 404 || mentions("replica") || mentions("node"));
  if (node_in_question) {
    return Fail(Code::kRefused,
                fmt::format("The API refused {} ({}). Nodes count from 0: does the job have that many?",
                            target.display_name(), said),
                "access.node-refused");
  }
  if (status == 404) {
    return Fail(Code::kRefused,
                call == Call::kSign
                    ? fmt::format("The API does not know {} ({}).", target.display_name(), said)
                    : fmt::format("The API does not know the call ({}). Is BASETEN_BASE_URL wrong?", said),
                "access.not-found");
  }
  return Fail(Code::kRefused, fmt::format("The API refused {} ({}).", target.display_name(), said),
              "access.api-refused");
}

std::optional<std::chrono::system_clock::time_point> ParseIsoTime(std::string_view text) {
  const std::string copy(text.substr(0, 64));
  int year = 0;
  unsigned month = 0;
  unsigned day = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;
  int used = 0;
  if (std::sscanf(copy.c_str(), "%4d-%2u-%2u%*1[T ]%2d:%2d:%2d%n", &year, &month, &day, &hour, &minute, &second,
                  &used) != 6) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month), std::chrono::day(day)};
  const bool clock_ok = hour >= 0 && hour <= 24 && minute >= 0 && minute < 60 && second >= 0 && second <= 60;
  if (!date.ok() || !clock_ok) {
    return std::nullopt;
  }
  std::string_view rest = std::string_view(copy).substr(static_cast<std::size_t>(used));
  if (rest.starts_with('.')) {
    rest.remove_prefix(std::min(rest.find_first_not_of("0123456789", 1), rest.size()));
  }
  int offset_minutes = 0;
  if (rest.size() == 6 && (rest[0] == '+' || rest[0] == '-')) {
    int hours = 0;
    int minutes = 0;
    if (std::sscanf(std::string(rest.substr(1)).c_str(), "%2d:%2d", &hours, &minutes) != 2) {
      return std::nullopt;
    }
    offset_minutes = (rest[0] == '-' ? -1 : 1) * (hours * 60 + minutes);
  } else if (!rest.empty() && rest != "Z" && rest != "z") {
    return std::nullopt;
  }
  return std::chrono::sys_days(date) + std::chrono::hours(hour) + std::chrono::minutes(minute - offset_minutes) +
         std::chrono::seconds(second);
}

}  // namespace bt::access
