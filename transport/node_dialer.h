// From a target to its files: the whole way, one step after the other.
//
//   search (once; the project of a job does not change) -> sign -> proxy -> SSH -> SFTP
//
// Every error says which step failed and for what. Each Dial signs afresh, since a JWT may be single-use.
//
// Threading: Dial may be called from any thread, by several at once (each makes a connection of its own). It blocks
// until done, ctx.deadline or ctx.cancel.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "transport/access/api_client.h"
#include "transport/access/environment.h"
#include "transport/access/host_name.h"
#include "transport/access/proxy_stream.h"
#include "transport/base/op_context.h"
#include "transport/base/sync.h"
#include "transport/sftp/sftp_fs.h"
#include "transport/ssh/ssh_connection.h"

namespace bt {

struct DialedNode {
  std::unique_ptr<sftp::SftpFs> fs;                // keeps the connection alive
  std::shared_ptr<ssh::SshConnection> connection;  // for further channels and statistics
  ssh::HostKey host_key;                           // another one than before: another container
  // Of the certificate; an open connection outlives it.
  std::optional<std::chrono::system_clock::time_point> certificate_expires_at;
};

struct DialerOptions {
  access::ApiOptions api;
  access::ProxyOptions proxy;
  ssh::SshOptions ssh;

  // CA locations and BASETEN_SSH_PROXY_INSECURE as the environment has them; the rest by default.
  static DialerOptions From(const access::Environment& environment);
};

// The key pair that truss made (Environment::SshDirectory), else a new one that lives in memory only. kConfig when
// there is one that cannot be used.
Result<std::unique_ptr<ssh::KeyPair>> ChooseKeyPair(const access::Environment& environment);

class NodeDialer {
 public:
  NodeDialer(access::Target target, access::Credentials credentials, std::unique_ptr<ssh::KeyPair> key_pair,
             DialerOptions options);

  // Errors as in the headers of the steps. kNotRunning has the job's state in its text.
  Result<DialedNode> Dial(const OpContext& ctx);

  // What the service says about the job now: project, state, instance. kInvalid for a model, which has no job.
  Result<access::JobInfo> FindJob(const OpContext& ctx);

  // Of each call to the API from now on, and what the last failed one was told to wait: for the link keeper, whose
  // backoff is the only one.
  void SetApiAttempts(unsigned attempts) { api_.SetAttempts(attempts); }
  std::optional<std::chrono::seconds> retry_after() const { return api_.retry_after(); }

  const access::Target& target() const { return target_; }

 private:
  Result<access::Grant> Sign(const OpContext& ctx);
  // The project of the job, from the service the first time. Checks the job's state then.
  Result<std::string> ProjectId(const OpContext& ctx);
  Status CheckRunningNow(const OpContext& ctx);
  access::ProxyAddress LastProxy();
  void NoteProxy(const access::ProxyAddress& proxy);
  Error In(Error error, std::string_view step) const;

  const access::Target target_;
  const std::unique_ptr<ssh::KeyPair> key_pair_;
  const DialerOptions options_;
  access::ApiClient api_;

  Mutex mutex_;
  std::string project_id_ GUARDED_BY(mutex_);           // empty until known
  access::ProxyAddress last_proxy_ GUARDED_BY(mutex_);  // that took a grant; no host until one did
};

}  // namespace bt
