#include "transport/access/host_name.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace bt::access {
namespace {

constexpr std::string_view kDomain = ".ssh.baseten.co";
constexpr std::string_view kJobPrefix = "training-job-";
constexpr std::string_view kModelPrefix = "model-";
constexpr std::size_t kMaxIdBytes = 64;  // ids seen are 7; a host name label has at most 63

constexpr std::string_view kForms =
    "\nWhat to mount is written as one of:\n"
    "  abc1234                  node 0 of training job abc1234\n"
    "  abc1234/1                its node 1\n"
    "  abc1234:/mnt/ckpts       one of its directories (also abc1234/1:relative/dir)\n"
    "  training-job-abc1234-0.ssh.baseten.co[:path]\n"
    "  model-<model>-<deployment>.ssh.baseten.co[:path]";

Error Refuse(std::string_view what) {
  return Error{Code::kConfig, fmt::format("{}{}", what, kForms), "access.target", Fate::kNotSent};
}

bool IsIdCharacter(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; }

// For messages: a name somebody pasted may hold anything.
std::string Shown(std::string_view text) {
  std::string shown;
  for (const char c : text.substr(0, 80)) {
    shown += (c >= ' ' && c != '\x7f') || static_cast<unsigned char>(c) >= 0x80 ? c : '?';
  }
  return text.size() > 80 ? shown + "..." : shown;
}

Status CheckId(std::string_view what, std::string_view id) {
  if (id.empty()) {
    return Refuse(fmt::format("The {} is empty.", what));
  }
  if (id.size() > kMaxIdBytes) {
    return Refuse(fmt::format("\"{}\" is too long for a {}.", Shown(id), what));
  }
  const auto bad = std::find_if_not(id.begin(), id.end(), IsIdCharacter);
  if (bad != id.end()) {
    const bool upper = *bad >= 'A' && *bad <= 'Z';
    return Refuse(fmt::format("\"{}\" is no {}: only lower-case letters, digits and dashes can be in one{}.", Shown(id),
                              what, upper ? " (write it in lower case)" : ""));
  }
  return {};
}

Result<unsigned> ParseNode(std::string_view text) {
  unsigned node = 0;
  const char* end = text.data() + text.size();
  const auto [rest, problem] = std::from_chars(text.data(), end, node);
  if (text.empty() || problem != std::errc() || rest != end || node > 99'999) {
    return Refuse(fmt::format("\"{}\" is no node: nodes are numbers, 0 is the leader.", Shown(text)));
  }
  return node;
}

// ".<remote>[.<api_prefix>]", without the leading dot.
Status ParseRemote(std::string_view text, Target& target) {
  const std::size_t dot = text.find('.');
  const std::string_view remote = text.substr(0, dot);
  // A section name of ~/.trussrc: used for looking up only, so anything printable will do.
  if (remote.empty() || !std::all_of(remote.begin(), remote.end(), [](char c) { return c > ' ' && c < '\x7f'; })) {
    return Refuse(fmt::format("\"{}\" is no name of a remote.", Shown(remote)));
  }
  target.remote = std::string(remote);
  if (dot != std::string_view::npos) {
    const std::string_view prefix = text.substr(dot + 1);
    // Becomes a part of a host name: labels only.
    std::string_view left = prefix;
    while (true) {
      const std::size_t next = left.find('.');
      TRY(CheckId("API prefix", left.substr(0, next)));
      if (next == std::string_view::npos) {
        break;
      }
      left.remove_prefix(next + 1);
    }
    target.api_prefix = std::string(prefix);
  }
  return {};
}

Status ParseJobLabel(std::string_view label, Target& target) {
  const std::string_view rest = label.substr(kJobPrefix.size());
  const std::size_t dash = rest.rfind('-');
  if (dash == std::string_view::npos) {
    return Refuse(fmt::format("\"{}\" names no node: after the job comes a dash and the node.", Shown(label)));
  }
  target.kind = Target::Kind::kTrainingJob;
  target.job = std::string(rest.substr(0, dash));
  TRY(CheckId("job id", target.job));
  target.node = TRY(ParseNode(rest.substr(dash + 1)));
  return {};
}

Status ParseModelLabel(std::string_view label, Target& target) {
  const std::string_view rest = label.substr(kModelPrefix.size());
  const std::size_t first = rest.find('-');
  if (first == std::string_view::npos) {
    return Refuse(
        fmt::format("\"{}\" names no deployment: after the model comes a dash and the deployment.", Shown(label)));
  }
  const std::size_t second = rest.find('-', first + 1);
  target.kind = Target::Kind::kModel;
  target.model = std::string(rest.substr(0, first));
  target.deployment = std::string(
      rest.substr(first + 1, second == std::string_view::npos ? std::string_view::npos : second - first - 1));
  TRY(CheckId("model id", target.model));
  TRY(CheckId("deployment id", target.deployment));
  if (second != std::string_view::npos) {
    target.replica = std::string(rest.substr(second + 1));
    TRY(CheckId("replica", target.replica));
  }
  return {};
}

Status ParseLabel(std::string_view label, Target& target) {
  if (label.starts_with(kJobPrefix)) {
    return ParseJobLabel(label, target);
  }
  if (label.starts_with(kModelPrefix)) {
    return ParseModelLabel(label, target);
  }
  return Refuse(fmt::format("\"{}\" begins neither with \"training-job-\" nor with \"model-\".", Shown(label)));
}

// Returns whether the name itself says which node.
Result<bool> ParseName(std::string_view name, Target& target) {
  if (name.ends_with(kDomain)) {
    const std::string_view labels = name.substr(0, name.size() - kDomain.size());
    const std::size_t dot = labels.find('.');
    TRY(ParseLabel(labels.substr(0, dot), target));
    if (dot != std::string_view::npos) {
      TRY(ParseRemote(labels.substr(dot + 1), target));
    }
    return true;
  }
  const std::size_t slash = name.find('/');
  if (slash == std::string_view::npos && (name.starts_with(kJobPrefix) || name.starts_with(kModelPrefix))) {
    TRY(ParseLabel(name, target));
    return true;
  }
  if (name.find('.') != std::string_view::npos) {
    return Refuse(fmt::format("\"{}\" is neither a job id nor a host name that ends in {}.", Shown(name), kDomain));
  }
  target.job = std::string(name.substr(0, slash));
  TRY(CheckId("job id", target.job));
  if (slash == std::string_view::npos) {
    return false;
  }
  target.node = TRY(ParseNode(name.substr(slash + 1)));
  return true;
}

Status ApplyOverrides(const TargetOverrides& overrides, bool node_named, Target& target) {
  if (overrides.node) {
    if (target.kind == Target::Kind::kModel) {
      return Refuse("--node is for training jobs; the replica of a model is the last part of its host name.");
    }
    const unsigned node = TRY(ParseNode(*overrides.node));
    if (node_named && node != target.node) {
      return Refuse(fmt::format("The name says node {}, --node says {}.", target.node, node));
    }
    target.node = node;
  }
  if (overrides.remote) {
    if (overrides.remote->empty()) {
      return Refuse("--remote is empty.");
    }
    if (target.remote && *target.remote != *overrides.remote) {
      return Refuse(fmt::format("The name says remote \"{}\", --remote says \"{}\".", Shown(*target.remote),
                                Shown(*overrides.remote)));
    }
    target.remote = overrides.remote;
  }
  return {};
}

}  // namespace

std::string Target::host_name() const {
  std::string name;
  if (kind == Kind::kModel) {
    name = fmt::format("model-{}-{}", model, deployment);
    if (!replica.empty()) {
      name += "-" + replica;
    }
  } else {
    name = fmt::format("training-job-{}-{}", job, node);
  }
  if (remote) {
    name += "." + *remote;
    if (api_prefix) {
      name += "." + *api_prefix;
    }
  }
  name += kDomain;
  return name;
}

std::string Target::display_name() const {
  if (kind == Kind::kTrainingJob) {
    return fmt::format("node {} of job {}", node, job);
  }
  if (replica.empty()) {
    return fmt::format("deployment {} of model {}", deployment, model);
  }
  return fmt::format("replica {} of deployment {} of model {}", replica, deployment, model);
}

Result<Target> ParseTarget(std::string_view text, const TargetOverrides& overrides) {
  if (text.empty()) {
    return Refuse("It is not said what to mount.");
  }
  Target target;
  const std::size_t colon = text.find(':');
  if (colon != std::string_view::npos) {
    target.path = std::string(text.substr(colon + 1));
  }
  const bool node_named = TRY(ParseName(text.substr(0, colon), target));
  TRY(ApplyOverrides(overrides, node_named, target));
  return target;
}

}  // namespace bt::access
