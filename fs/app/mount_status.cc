#include "fs/app/mount_status.h"

#include <nlohmann/json.hpp>

namespace bt::app {
namespace {

using nlohmann::json;

template <typename T>
T Get(const json& object, const char* key, T otherwise) {
  try {
    return object.value(key, std::move(otherwise));
  } catch (const json::exception&) {  // another type than expected: as if missing
    return T();
  }
}

}  // namespace

std::string ToJson(const MountStatus& status) {
  json files = json::array();
  for (const UnwrittenFile& file : status.unwritten_files) {
    files.push_back({{"path", file.path}, {"bytes", file.bytes}});
  }
  const json document{{"version", status.version},
                      {"pid", status.pid},
                      {"target", status.target},
                      {"mount_point", status.mount_point},
                      {"log_file", status.log_file},
                      {"ending", status.ending},
                      {"link",
                       {{"state", status.link},
                        {"since_seconds", status.link_seconds},
                        {"last_heard_seconds", status.last_heard_seconds},
                        {"next_dial_seconds", status.next_dial_seconds},
                        {"connections", status.connections},
                        {"reconnects", status.reconnects},
                        {"containers", status.containers},
                        {"last_error", status.last_error}}},
                      {"requests", {{"under_way", status.requests_under_way}, {"failed", status.requests_failed}}},
                      {"unwritten", {{"bytes", status.unwritten_bytes}, {"files", files}}},
                      {"lost_writes", status.lost_writes},
                      {"ended", status.ended},
                      {"end_error", status.end_error}};
  // Names on the server may be any bytes.
  return document.dump(-1, ' ', /*ensure_ascii=*/false, json::error_handler_t::replace);
}

std::optional<MountStatus> ParseStatus(std::string_view text) {
  const json document = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object() || !document.contains("mount_point")) {
    return std::nullopt;
  }
  const auto part = [&document](const char* key) {
    const auto found = document.find(key);
    return found != document.end() && found->is_object() ? *found : json::object();
  };
  MountStatus status;
  status.version = Get<std::string>(document, "version", "");
  status.pid = Get<pid_t>(document, "pid", 0);
  status.target = Get<std::string>(document, "target", "");
  status.mount_point = Get<std::string>(document, "mount_point", "");
  status.log_file = Get<std::string>(document, "log_file", "");
  status.ending = Get<bool>(document, "ending", false);
  const json link = part("link");
  status.link = Get<std::string>(link, "state", "");
  status.link_seconds = Get<double>(link, "since_seconds", 0);
  status.last_heard_seconds = Get<double>(link, "last_heard_seconds", 0);
  status.next_dial_seconds = Get<double>(link, "next_dial_seconds", 0);
  status.connections = Get<std::uint64_t>(link, "connections", 0);
  status.reconnects = Get<std::uint64_t>(link, "reconnects", 0);
  status.containers = Get<std::uint64_t>(link, "containers", 1);
  status.last_error = Get<std::string>(link, "last_error", "");
  const json requests = part("requests");
  status.requests_under_way = Get<std::uint64_t>(requests, "under_way", 0);
  status.requests_failed = Get<std::uint64_t>(requests, "failed", 0);
  const json unwritten = part("unwritten");
  status.unwritten_bytes = Get<std::uint64_t>(unwritten, "bytes", 0);
  if (const auto files = unwritten.find("files"); files != unwritten.end() && files->is_array()) {
    for (const json& file : *files) {
      if (file.is_object()) {
        status.unwritten_files.push_back({Get<std::string>(file, "path", ""), Get<std::uint64_t>(file, "bytes", 0)});
      }
    }
  }
  status.lost_writes = Get<std::uint64_t>(document, "lost_writes", 0);
  status.ended = Get<bool>(document, "ended", false);
  status.end_error = Get<std::string>(document, "end_error", "");
  return status;
}

}  // namespace bt::app
