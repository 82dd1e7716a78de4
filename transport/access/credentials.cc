#include "transport/access/credentials.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "transport/access/ini_file.h"
#include "transport/access/user_files.h"

namespace bt::access {
namespace {

constexpr std::string_view kDefaultApp = "https://app.baseten.co";
constexpr std::string_view kAnyWayOut =
    "Set BASETEN_API_KEY, or run `truss login` (`uvx truss login`) and choose an API key; keys are made at "
    "https://app.baseten.co/settings/api_keys";
constexpr std::string_view kInlineWayOut =
    "Two ways out: set BASETEN_API_KEY to an API key (https://app.baseten.co/settings/api_keys), or write one into the "
    "file with `BASETEN_TRUSS_AUTH_KEYRING_DISABLED=1 uvx truss login`";

Error Fail(std::string text, std::string tag) {
  return Error{Code::kConfig, std::move(text), std::move(tag), Fate::kNotSent};
}

// A key travels in an HTTP header: it must not be able to break out of it.
Status CheckKey(std::string_view key, std::string_view origin) {
  const bool clean = std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c < '\x7f'; });
  if (!clean) {
    return Fail(
        fmt::format("The API key of {} holds blanks or other characters that no key has. Copy it again.", origin),
        "access.key-malformed");
  }
  return {};
}

bool IsLoopback(std::string_view host) {
  return host == "localhost" || host == "[::1]" ||
         (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos);
}

// Checks BASETEN_BASE_URL.
Result<std::string> CheckBaseUrl(std::string url, std::vector<std::string>& warnings) {
  while (url.ends_with('/')) {
    url.pop_back();
  }
  std::string_view rest = url;
  const bool https = rest.starts_with("https://");
  const bool http = rest.starts_with("http://");
  rest.remove_prefix(https ? 8 : http ? 7 : 0);
  const std::string_view authority = rest.substr(0, rest.find('/'));
  const bool plain = std::all_of(url.begin(), url.end(), [](char c) { return c > ' ' && c < '\x7f'; });
  if (!(http || https) || authority.empty() || !plain || url.find_first_of("@?#") != std::string::npos) {
    return Fail("BASETEN_BASE_URL must be written like https://api.baseten.co", "access.base-url");
  }
  if (http) {
    const std::size_t end = authority.starts_with('[') ? authority.find(']') + 1 : authority.find(':');
    if (!IsLoopback(authority.substr(0, end))) {
      return Fail(fmt::format("BASETEN_BASE_URL is {}: over plain http the API key could be read on the way. Use https "
                              "(http is accepted for this machine only).",
                              url),
                  "access.base-url");
    }
    warnings.emplace_back("BASETEN_BASE_URL is plain http: for development only.");
  }
  return url;
}

Result<std::string> ChooseApiBase(const Environment& environment, const CredentialQuery& query,
                                  const std::optional<std::string>& remote_url, std::vector<std::string>& warnings) {
  if (auto url = environment.Get("BASETEN_BASE_URL")) {
    return CheckBaseUrl(*std::move(url), warnings);
  }
  if (query.api_prefix) {
    return fmt::format("https://api.{}.baseten.co", *query.api_prefix);
  }
  return ApiBaseOfApp(remote_url.value_or(std::string(kDefaultApp)));
}

// What a file says about one remote; the key may be missing.
struct Entry {
  Secret api_key;
  std::optional<std::string> remote_url;
  std::string origin;
  std::string why_no_key;  // when api_key is empty
};

Result<Credentials> Finish(const Environment& environment, const CredentialQuery& query, Entry entry,
                           std::vector<std::string> warnings) {
  TRY(CheckKey(entry.api_key.Reveal(), entry.origin));
  std::string base = TRY(ChooseApiBase(environment, query, entry.remote_url, warnings));
  return Credentials{std::move(entry.api_key), std::move(base), std::move(entry.origin), std::move(warnings)};
}

class Files {
 public:
  explicit Files(const Environment& environment)
      : environment_(environment),
        trussrc_path_(environment.Get("USER_TRUSSRC_PATH").value_or((environment.Home() / ".trussrc").string())),
        profiles_path_(ProfilesPath(environment)) {}

  Status Load() {
    if (std::optional<std::string> text = TRY(ReadUserFile(trussrc_path_))) {
      Result<IniFile> parsed = IniFile::Parse(*text);
      Wipe(*text);
      if (!parsed.ok()) {
        return std::move(parsed).error().Within(trussrc_path_.string());
      }
      trussrc_ = std::move(parsed).value();
    }
    return {};
  }

  bool has_trussrc() const { return trussrc_.has_value(); }
  const std::filesystem::path& trussrc_path() const { return trussrc_path_; }
  const std::filesystem::path& profiles_path() const { return profiles_path_; }

  // The remote to use when none was named; kConfig when the choice is open. nullopt: ~/.trussrc has none at all.
  Result<std::optional<std::string>> DefaultRemote() const {
    if (!trussrc_ || trussrc_->sections().empty()) {
      return std::optional<std::string>();
    }
    const std::vector<std::string>& sections = trussrc_->sections();
    if (sections.size() == 1) {
      return std::optional<std::string>(sections.front());
    }
    const auto script = TRY(ReadUserFile(environment_.SshDirectory() / "proxy-command.py"));
    if (script) {
      if (auto stamped = ParseDefaultRemote(*script)) {
        return std::optional<std::string>(std::move(stamped));
      }
    }
    return Fail(fmt::format("{} has several remotes: {}. Say which one with --remote NAME, or choose a default with "
                            "`truss ssh setup --default-remote NAME`.",
                            trussrc_path_.string(), fmt::join(sections, ", ")),
                "access.remote-open");
  }

  // nullopt when ~/.trussrc has no such section.
  Result<std::optional<Entry>> FromTrussrc(const std::string& remote) const {
    if (!trussrc_ || !trussrc_->HasSection(remote)) {
      return std::optional<Entry>();
    }
    const auto get = [&](const char* key) -> Result<std::optional<std::string>> {
      auto value = trussrc_->Get(remote, key);
      return value.ok() ? std::move(value) : std::move(value).error().Within(trussrc_path_.string());
    };
    Entry entry;
    entry.origin = fmt::format("remote \"{}\" in {}", remote, trussrc_path_.string());
    const auto provider = TRY(get("remote_provider"));
    if (provider && *provider != "baseten") {
      return Fail(fmt::format("The {} is of the provider \"{}\", not \"baseten\". Choose another one with --remote.",
                              entry.origin, *provider),
                  "access.provider");
    }
    entry.remote_url = TRY(get("remote_url"));
    if (entry.remote_url && entry.remote_url->empty()) {
      entry.remote_url.reset();
    }
    std::optional<std::string> key = TRY(get("api_key"));
    if (key) {
      entry.api_key = Secret(*key);
      Wipe(*key);
    }
    if (entry.api_key.empty()) {
      const auto type = TRY(get("auth_type"));
      entry.why_no_key = type && *type == "oauth" ? "signs in with OAuth, which only truss can use"
                                                  : "has no api_key (it may be in the keyring of the operating system)";
    }
    return std::optional<Entry>(std::move(entry));
  }

  // nullopt when there is no such profile (or, with no name, no current one).
  Result<std::optional<Entry>> FromProfiles(const std::optional<std::string>& name) const {
    std::optional<std::string> text = TRY(ReadUserFile(profiles_path_));
    if (!text) {
      return std::optional<Entry>();
    }
    Result<Profiles> parsed = ParseProfiles(*text);
    Wipe(*text);
    if (!parsed.ok()) {
      return std::move(parsed).error().Within(profiles_path_.string());
    }
    const std::string& wanted = name ? *name : parsed->current;
    const auto found = parsed->by_name.find(wanted);
    if (found == parsed->by_name.end()) {
      return std::optional<Entry>();
    }
    Entry entry;
    entry.origin = fmt::format("profile \"{}\" in {}", wanted, profiles_path_.string());
    if (!found->second.remote_url.empty()) {
      entry.remote_url = found->second.remote_url;
    }
    entry.api_key = Secret(found->second.api_key);
    for (auto& [unused, profile] : parsed->by_name) {
      Wipe(profile.api_key);
    }
    if (entry.api_key.empty()) {
      entry.why_no_key = "keeps its key in the keyring of the operating system or signs in with OAuth";
    }
    return std::optional<Entry>(std::move(entry));
  }

  Error UnknownRemote(const std::string& remote) const {
    const std::string known = trussrc_ && !trussrc_->sections().empty()
                                  ? fmt::format("It has: {}", fmt::join(trussrc_->sections(), ", "))
                                  : std::string("It has none");
    return Fail(trussrc_ ? fmt::format("There is no remote \"{}\" in {}. {}. Choose one with --remote NAME, or add it "
                                       "with `truss login --remote {}`.",
                                       remote, trussrc_path_.string(), known, remote)
                         : fmt::format("There is no remote \"{}\": {} does not exist. {}.", remote,
                                       trussrc_path_.string(), kAnyWayOut),
                "access.remote-unknown");
  }

 private:
  static std::filesystem::path ProfilesPath(const Environment& environment) {
    if (const auto directory = environment.Get("BASETEN_CONFIG_DIR")) {
      return std::filesystem::path(*directory) / "auth.json";
    }
    const auto xdg = environment.Get("XDG_CONFIG_HOME");
    const bool usable = xdg && std::filesystem::path(*xdg).is_absolute();
    return (usable ? std::filesystem::path(*xdg) : environment.Home() / ".config") / "baseten" / "auth.json";
  }

  const Environment& environment_;
  std::filesystem::path trussrc_path_;
  std::filesystem::path profiles_path_;
  std::optional<IniFile> trussrc_;
};

// A named remote: ~/.trussrc first, then the profiles.
Result<std::optional<Entry>> FindNamed(const Files& files, const std::string& remote) {
  std::optional<Entry> entry = TRY(files.FromTrussrc(remote));
  if (!entry) {
    entry = TRY(files.FromProfiles(remote));
  }
  return entry;
}

Result<Credentials> FromVariable(const Environment& environment, const CredentialQuery& query, std::string key) {
  Entry entry;
  entry.api_key = Secret(key);
  Wipe(key);
  entry.origin = "BASETEN_API_KEY";
  if (query.remote) {
    // The remote still says which API the key is for; only its own key is passed over.
    Files files(environment);
    TRY(files.Load());
    std::optional<Entry> named = TRY(FindNamed(files, *query.remote));
    if (named) {
      entry.remote_url = std::move(named->remote_url);
    } else if (files.has_trussrc()) {
      return files.UnknownRemote(*query.remote);
    }
  }
  return Finish(environment, query, std::move(entry), {});
}

}  // namespace

Result<std::string> ApiBaseOfApp(std::string_view remote_url) {
  std::string_view host = remote_url;
  if (host.starts_with("https://")) {
    host.remove_prefix(8);
  }
  host = host.substr(0, host.find('/'));
  constexpr std::string_view kApp = "app.";
  constexpr std::string_view kDomain = "baseten.co";
  if (host.starts_with(kApp) && host.ends_with(kDomain)) {
    std::string_view middle = host.substr(kApp.size(), host.size() - kApp.size() - kDomain.size());
    if (middle.empty()) {
      return std::string("https://api.baseten.co");
    }
    if (middle == "dev.") {
      return std::string("https://api.mc-dev.baseten.co");
    }
    const bool labels = middle.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.") == std::string_view::npos;
    if (labels && middle.size() > 1 && middle.front() != '.' && middle.back() == '.' &&
        middle.find("..") == std::string_view::npos) {
      return fmt::format("https://api.{}{}", middle, kDomain);
    }
  }
  return Fail(fmt::format("The address of the API cannot be told from remote_url = {}. It is usually {}; otherwise set "
                          "BASETEN_BASE_URL to the address of the API.",
                          remote_url, kDefaultApp),
              "access.remote-url");
}

Result<Credentials> FindCredentials(const Environment& environment, const CredentialQuery& query) {
  if (auto key = environment.Get("BASETEN_API_KEY")) {
    return FromVariable(environment, query, *std::move(key));
  }
  Files files(environment);
  TRY(files.Load());

  std::optional<std::string> remote = query.remote;
  if (!remote) {
    remote = TRY(files.DefaultRemote());
  }
  std::optional<Entry> entry = remote ? TRY(FindNamed(files, *remote)) : TRY(files.FromProfiles(std::nullopt));
  if (!entry) {
    if (remote) {
      return files.UnknownRemote(*remote);
    }
    return Fail(fmt::format("There is no API key: BASETEN_API_KEY is not set, {} {} and there is no {} with a current "
                            "profile. {}.",
                            files.trussrc_path().string(), files.has_trussrc() ? "has no remote" : "does not exist",
                            files.profiles_path().string(), kAnyWayOut),
                "access.no-key");
  }
  if (entry->api_key.empty()) {
    return Fail(fmt::format("The {} {}. {}.", entry->origin, entry->why_no_key, kInlineWayOut), "access.no-inline-key");
  }
  std::vector<std::string> warnings;
  if (files.has_trussrc() && OthersCanRead(files.trussrc_path())) {
    warnings.push_back(
        fmt::format("{0} holds an API key and others may read it: chmod 600 {0}", files.trussrc_path().string()));
  }
  return Finish(environment, query, *std::move(entry), std::move(warnings));
}

}  // namespace bt::access
