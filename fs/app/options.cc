#include "fs/app/options.h"

#include <sstream>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "transport/base/units.h"

#ifndef BT_VERSION
#error "BT_VERSION comes from CMake"
#endif

namespace bt::app {
namespace {

constexpr const char* kMountDescription =
    "Mounts the files of a running Baseten training container (or model deployment) as a folder.";

constexpr const char* kMountFooter = R"(
Targets:
  abc1234                   node 0 of training job abc1234
  abc1234/1                 node 1
  abc1234:/mnt/ckpts        another directory of the container
  abc1234/1:runs/today      relative to the default directory
  training-job-abc1234-0.ssh.baseten.co[:path]
  model-<model>-<deployment>[-<replica>].ssh.baseten.co[:path]
  Without a path: /b10/workspace when it exists, else where the server starts.

Mount options (-o, comma-separated, as in /etc/fstab):
  ro                        refuse every change
  allow_other               other users of this machine may look in
  default_permissions       let the kernel check the mode bits
  uid=N, gid=N, umask=OCT   how owners and permissions are shown
  fsname=TEXT               what mount(8) and df(1) show as the source
  nonempty                  mount over a directory that is not empty
  node=, remote=, timeout=, connections=, symlinks=, uid_map=   as the long options
  cache_size=, cache_dir=, no_cache, memory=                    as the long options
  noexec, noatime, nodiratime, sync, dirsync, nosymfollow   to the kernel

Credentials: BASETEN_API_KEY, else ~/.trussrc, else baseten-cli's profiles.
The SSH key of `truss ssh setup` is used when there is one; otherwise a key is
made in memory for this mount. Nothing of either is written anywhere.

Other commands:
  bt-mount status [MOUNTPOINT]  the link, waiting requests, unwritten bytes
  bt-mount unmount MOUNTPOINT   flush and end a mount
  bt-mount cache list|verify|clear   what is kept on this machine's disk
  bt-mount demo                 try it out without an account

Examples:
  bt-mount abc1234                        at ~/baseten/abc1234/0
  bt-mount abc1234:/mnt/ckpts ~/ckpts -o ro
  /etc/fstab: abc1234 /mnt/job fuse.bt-mount noauto,user,ro 0 0)";

constexpr std::uint64_t kLeastMemory = 16_MiB;

Error Misused(const std::string& why, std::string_view command) {
  return Error{Code::kConfig, fmt::format("{}\nTry: bt-mount {}--help", why, command), "options.usage"};
}

// CLI11 reports through exceptions; they end here.
// Nothing when the words were understood and the command is to be run.
std::optional<Result<Command>> Run(CLI::App& app, int argc, const char* const* argv, std::string_view command) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return Result<Command>(PrintAndExit{app.help(), 0});
  } catch (const CLI::CallForVersion&) {
    return Result<Command>(PrintAndExit{"bt-mount " BT_VERSION "\n", 0});
  } catch (const CLI::ParseError& problem) {
    return Misused(problem.what(), command);
  }
  return std::nullopt;
}

Result<Command> ParseMount(int argc, const char* const* argv) {
  MountOptions options;
  std::string mount_point;
  std::string node;
  std::string remote;
  std::string timeout = "30s";
  std::string symlinks = "contained";
  std::string uid_map = "user";
  std::string cache_size;
  std::string cache_dir;
  std::string memory;
  std::vector<std::string> words;

  CLI::App app{kMountDescription, "bt-mount"};
  app.footer(kMountFooter);
  app.set_version_flag("-V,--version", "");
  app.add_option("target", options.target, "Job, job/node, host name, each with an optional :directory")->required();
  app.add_option("mountpoint", mount_point, "Where; default ~/baseten/<job>/<node>, made when missing");
  app.add_option("--node", node, "Node of the job, when the target does not name one");
  app.add_option("--remote", remote, "Section of ~/.trussrc to use");
  app.add_option("--timeout", timeout, "Longest wait for the server before an error (0: wait for ever)")
      ->capture_default_str();
  app.add_option("--connections", options.connections,
                 "Most connections for bulk data, opened besides the first while large transfers need them (0 to 16)")
      ->check(CLI::Range(0U, MountOptions::kMostConnections))
      ->capture_default_str();
  app.add_option("--symlinks", symlinks, "Absolute links that leave the mount: contained (not followed) or raw")
      ->check(CLI::IsMember({"contained", "raw"}))
      ->capture_default_str();
  app.add_option("--uid-map", uid_map, "Owners: user (what the container's user owns is yours) or server")
      ->check(CLI::IsMember({"user", "server"}))
      ->capture_default_str();
  app.add_option(
      "--cache-size", cache_size,
      "Most that is kept on this machine's disk, such as 20GiB (default: a tenth of the disk, at most 50 GiB)");
  app.add_option("--cache-dir", cache_dir, "Where; several mounts may share it (default: ~/.cache/bt-mount)");
  app.add_option("--memory", memory, "Most that reading may hold in memory (default: 256MiB)");
  app.add_flag("--no-cache", options.no_cache, "Keep nothing on this machine's disk");
  app.add_option("-o", words, "Mount options, see below")->take_all()->allow_extra_args(false);
  app.add_flag("-f,--foreground", options.foreground, "Stay in the foreground and log to the terminal");
  app.add_flag("-d,--debug", options.debug, "Log each request and how long it took (not its data)");
  if (auto ended = Run(app, argc, argv, "")) {
    return std::move(*ended);
  }

  if (!mount_point.empty()) {
    options.mount_point = mount_point;
  }
  if (!node.empty()) {
    options.node = node;
  }
  if (!remote.empty()) {
    options.remote = remote;
  }
  options.symlinks = symlinks == "raw" ? SymlinkPolicy::kRaw : SymlinkPolicy::kContained;
  options.owner_map = uid_map == "server" ? OwnerMap::kServer : OwnerMap::kUser;
  auto parsed_timeout = ParseDuration(timeout);
  if (!parsed_timeout) {
    return Misused("--timeout: " + parsed_timeout.error().text, "");
  }
  options.timeout = *parsed_timeout;
  if (!cache_size.empty()) {
    TRY(ApplyCacheSize(cache_size, options));
  }
  if (!cache_dir.empty()) {
    options.cache_dir = cache_dir;
  }
  if (!memory.empty()) {
    TRY(ApplyMemory(memory, options));
  }
  for (const std::string& list : words) {
    TRY(ApplyMountWords(list, options));
  }
  return options;
}

Result<Command> ParseUnmount(int argc, const char* const* argv) {
  UnmountOptions options;
  std::string mount_point;
  CLI::App app{"Ends a mount: open files are flushed first.", "bt-mount unmount"};
  app.add_option("mountpoint", mount_point, "Where it is mounted")->required();
  app.add_flag("--force", options.force, "Detach at once, even while programs use it; unwritten bytes may be lost");
  if (auto ended = Run(app, argc, argv, "unmount ")) {
    return std::move(*ended);
  }
  options.mount_point = mount_point;
  return options;
}

Result<Command> ParseStatus(int argc, const char* const* argv) {
  StatusOptions options;
  std::string mount_point;
  CLI::App app{"Shows what the mounts of this user are doing. Answers at once, also while a link is down.",
               "bt-mount status"};
  app.add_option("mountpoint", mount_point, "Only this one");
  app.add_flag("--json", options.json, "A list of JSON objects instead of text");
  if (auto ended = Run(app, argc, argv, "status ")) {
    return std::move(*ended);
  }
  if (!mount_point.empty()) {
    options.mount_point = mount_point;
  }
  return options;
}

Result<Command> ParseCache(int argc, const char* const* argv) {
  CacheOptions options;
  std::string what;
  std::string cache_dir;
  CLI::App app{"What mounts keep on this machine's disk. Safe while they are mounted.", "bt-mount cache"};
  const auto add = [&](const char* name, const char* description, CacheOptions::Action action) {
    CLI::App* command = app.add_subcommand(name, description);
    command->add_option("what", what, "Only this workspace (as `list` shows it), /path, or workspace:/path");
    command->add_option("--cache-dir", cache_dir, "Where it is (default: ~/.cache/bt-mount)");
    command->add_flag("--json", options.json, "JSON instead of text");
    command->callback([&options, action] { options.action = action; });
  };
  add("list", "Shows what is kept, and when it was used last", CacheOptions::Action::kList);
  add("verify", "Reads everything; what does not verify is forgotten, and fetched again when needed",
      CacheOptions::Action::kVerify);
  add("clear", "Removes it; a mount that uses it fetches again what it needs", CacheOptions::Action::kClear);
  app.require_subcommand(1);
  if (auto ended = Run(app, argc, argv, "cache ")) {
    return std::move(*ended);
  }
  if (!cache_dir.empty()) {
    options.cache_dir = cache_dir;
  }
  const std::size_t slash = what.find('/');
  std::string_view workspace = std::string_view(what).substr(0, slash);
  if (slash != std::string::npos) {
    options.path = TRY(RemotePath::Parse(std::string_view(what).substr(slash)));
    if (!workspace.empty() && !workspace.ends_with(':')) {
      return Misused(fmt::format("\"{}\" is neither a workspace nor /path nor workspace:/path", what), "cache ");
    }
  }
  if (workspace.ends_with(':')) {
    workspace.remove_suffix(1);
  }
  if (!workspace.empty()) {
    options.workspace = std::string(workspace);
  }
  return options;
}

Result<Command> ParseDemo(int argc, const char* const* argv) {
  DemoOptions options;
  CLI::App app{
      "Starts a stand-in of the service on this machine with a small workspace in it, and mounts it at "
      "~/baseten/demo123/0. Everything is real but the cloud: TLS, certificates, an OpenSSH server.",
      "bt-mount demo"};
  app.add_flag("-f,--foreground", options.foreground, "Stay in the foreground and log to the terminal");
  if (auto ended = Run(app, argc, argv, "demo ")) {
    return std::move(*ended);
  }
  return options;
}

}  // namespace

Status ApplyCacheSize(std::string_view text, MountOptions& options) {
  const auto size = ParseByteSize(text);
  if (!size) {
    return Misused("--cache-size: " + size.error().text, "");
  }
  options.cache_size = *size;
  options.no_cache = options.no_cache || *size == 0;
  return {};
}

Status ApplyMemory(std::string_view text, MountOptions& options) {
  const auto size = ParseByteSize(text);
  if (!size) {
    return Misused("--memory: " + size.error().text, "");
  }
  if (*size < kLeastMemory) {
    return Misused(fmt::format("--memory: {} is not enough; at least {}", text, FormatByteSize(kLeastMemory)), "");
  }
  options.memory = *size;
  return {};
}

Result<Command> ParseCommandLine(int argc, const char* const* argv) {
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "unmount" || command == "umount") {
    return ParseUnmount(argc - 1, argv + 1);
  }
  if (command == "status") {
    return ParseStatus(argc - 1, argv + 1);
  }
  if (command == "cache") {
    return ParseCache(argc - 1, argv + 1);
  }
  if (command == "demo") {
    return ParseDemo(argc - 1, argv + 1);
  }
  if (command == "mount") {
    return ParseMount(argc - 1, argv + 1);
  }
  return ParseMount(argc, argv);
}

}  // namespace bt::app
