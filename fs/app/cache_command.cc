#include "fs/app/cache_command.h"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <system_error>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cache/block_cache_inventory.h"
#include "fs/app/home.h"
#include "fs/app/reporter.h"
#include "transport/base/units.h"

namespace bt::app {
namespace {

using Json = nlohmann::ordered_json;

// Names of files are bytes, JSON is text.
std::string ToText(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace); }

Json ToJson(const BlockKey& key) {
  return {{"workspace", key.workspace},
          {"path", key.path.text()},
          {"size", key.version.size},
          {"mtime", key.version.mtime}};
}

std::string Ago(std::int64_t then) {
  const auto now =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  return FormatDuration(std::chrono::seconds(std::max<std::int64_t>(0, now - then))) + " ago";
}

int List(const std::filesystem::path& directory, const BlockCacheSelection& selection, bool json) {
  const BlockCacheListing listing = ListBlockCache(directory, selection);
  std::uint64_t cached = 0;
  std::uint64_t disk = 0;
  Json files = Json::array();
  std::string_view workspace;
  for (const CachedVersion& version : listing.versions) {
    cached += version.cached_bytes;
    disk += version.disk_bytes;
    if (json) {
      Json file = ToJson(version.key);
      file["cached_bytes"] = version.cached_bytes;
      file["disk_bytes"] = version.disk_bytes;
      file["last_use"] = version.last_use;
      files.push_back(std::move(file));
      continue;
    }
    if (workspace != version.key.workspace) {
      workspace = version.key.workspace;
      fmt::print("{}\n", workspace);
    }
    fmt::print("  {:>10} of {:>10}  used {:<18}  {}\n", FormatByteSize(version.cached_bytes),
               FormatByteSize(version.key.version.size), Ago(version.last_use), version.key.path.text());
  }
  if (json) {
    const Json all{{"directory", directory.string()},
                   {"cached_bytes", cached},
                   {"disk_bytes", disk},
                   {"unreadable", listing.unreadable},
                   {"files", std::move(files)}};
    fmt::print("{}\n", ToText(all));
    return 0;
  }
  fmt::print("{} of {} files, {} of disk, in {}\n", FormatByteSize(cached), listing.versions.size(),
             FormatByteSize(disk), directory.string());
  if (listing.unreadable > 0) {
    fmt::print("{} unreadable files; bt-mount cache verify removes them\n", listing.unreadable);
  }
  return 0;
}

// 1 when something was bad: for scripts.
int Verify(const std::filesystem::path& directory, const BlockCacheSelection& selection, bool json) {
  const BlockCacheVerdict verdict = VerifyBlockCache(directory, selection);
  if (json) {
    Json bad = Json::array();
    for (const BadGranule& granule : verdict.bad) {
      Json one = ToJson(granule.key);
      one["offset"] = granule.offset;
      one["bytes"] = kGranule;
      bad.push_back(std::move(one));
    }
    const Json all{{"directory", directory.string()},
                   {"files", verdict.versions},
                   {"good_bytes", verdict.bytes},
                   {"bad", std::move(bad)},
                   {"unreadable", verdict.unreadable}};
    fmt::print("{}\n", ToText(all));
  } else {
    for (const BadGranule& granule : verdict.bad) {
      fmt::print("bad: {}:{} at {}\n", granule.key.workspace, granule.key.path.text(), granule.offset);
    }
    fmt::print("{} of {} files are good", FormatByteSize(verdict.bytes), verdict.versions);
    fmt::print("{}\n",
               verdict.bad.empty() ? "" : fmt::format("; {} blocks were not, and are forgotten", verdict.bad.size()));
    if (verdict.unreadable > 0) {
      fmt::print("{} unreadable files are removed\n", verdict.unreadable);
    }
  }
  return verdict.bad.empty() && verdict.unreadable == 0 ? 0 : 1;
}

int Clear(const std::filesystem::path& directory, const BlockCacheSelection& selection, bool json) {
  const BlockCacheCleared cleared = ClearBlockCache(directory, selection);
  if (json) {
    const Json all{{"directory", directory.string()},
                   {"files", cleared.files},
                   {"disk_bytes", cleared.disk_bytes},
                   {"failed", cleared.failed}};
    fmt::print("{}\n", ToText(all));
  } else {
    fmt::print("{} files removed, {} freed\n", cleared.files, FormatByteSize(cleared.disk_bytes));
  }
  if (cleared.failed > 0) {
    MakeTerminalReporter()->Failed(
        fmt::format("{} files in {} could not be removed", cleared.failed, directory.string()));
    return 1;
  }
  return 0;
}

}  // namespace

std::filesystem::path CacheDirectory(const std::optional<std::filesystem::path>& given) {
  if (!given) {
    return XdgDirectory("XDG_CACHE_HOME", ".cache") / "bt-mount";
  }
  std::error_code problem;
  const std::filesystem::path absolute = std::filesystem::absolute(*given, problem).lexically_normal();
  // "cache/" and "cache" are one directory.
  return problem ? *given : (absolute.has_filename() ? absolute : absolute.parent_path());
}

int RunCache(const CacheOptions& options) {
  const std::filesystem::path directory = CacheDirectory(options.cache_dir);
  std::error_code problem;
  if (!std::filesystem::is_directory(directory, problem) && options.cache_dir) {
    MakeTerminalReporter()->Failed(fmt::format("{} is not a directory", directory.string()));
    return 1;
  }
  const BlockCacheSelection selection{.workspace = options.workspace, .below = options.path};
  switch (options.action) {
    case CacheOptions::Action::kList:
      return List(directory, selection, options.json);
    case CacheOptions::Action::kVerify:
      return Verify(directory, selection, options.json);
    case CacheOptions::Action::kClear:
      return Clear(directory, selection, options.json);
  }
  return 1;
}

}  // namespace bt::app
