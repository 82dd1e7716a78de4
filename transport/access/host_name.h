// What to mount, as a person types it: a job, a node, a directory; or a model deployment.
//
//   abc1234            abc1234/1          abc1234:/mnt/ckpts          abc1234/1:relative/dir
//   training-job-<job>-<node>[.<remote>[.<api_prefix>]][.ssh.baseten.co][:path]
//   model-<model>-<deployment>[-<replica>][.<remote>[.<api_prefix>]][.ssh.baseten.co][:path]
//
// The host names are labels: they are taken apart here and never looked up in DNS. Ids hold [a-z0-9-] only, so they are
// safe in a URL and in a path. (Without ".ssh.baseten.co" a label may not have a remote: use --remote.)
//
// Threading: plain values; parsing is pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "transport/base/result.h"

namespace bt::access {

struct Target {
  enum class Kind { kTrainingJob, kModel };
  Kind kind = Kind::kTrainingJob;

  // kTrainingJob
  std::string job;
  unsigned node = 0;  // 0 is the leader

  // kModel
  std::string model;
  std::string deployment;
  std::string replica;  // empty: the service chooses

  std::optional<std::string> remote;      // which section of ~/.trussrc
  std::optional<std::string> api_prefix;  // https://api.<prefix>.baseten.co
  std::string path;                       // as typed after the colon; empty: the default directory

  const char* ssh_user() const { return kind == Kind::kModel ? "app" : "baseten"; }
  // The official label, with remote and prefix: "training-job-abc1234-0.ssh.baseten.co".
  std::string host_name() const;
  // For messages: "node 1 of job abc1234", "deployment d1 of model m1".
  std::string display_name() const;

  bool operator==(const Target&) const = default;
};

// From options; they must not contradict the name.
struct TargetOverrides {
  std::optional<std::string> node;    // --node
  std::optional<std::string> remote;  // --remote
};

// kConfig with what is wrong and the accepted forms.
Result<Target> ParseTarget(std::string_view text, const TargetOverrides& overrides = {});

}  // namespace bt::access
