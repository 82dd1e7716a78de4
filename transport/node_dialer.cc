#include "transport/node_dialer.h"

#include <chrono>
#include <functional>
#include <stop_token>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "transport/base/thread_name.h"

namespace bt {
namespace {

constexpr std::chrono::seconds kPatienceOfProxy{5};

// A connection to the proxy that is made beside the call to the API, which tells the proxy only in the end: most likely
// it is that of the last time. Two round trips less for each lane and each reconnect.
//
// Nothing is said to the proxy until the API has answered. It may hang up on whoever is silent for long, and that would
// look like its refusal: after kPatienceOfProxy a new connection is made.
class ProxyAhead {
 public:
  ProxyAhead(const OpContext& ctx, access::ProxyAddress proxy, const access::ProxyOptions& options)
      : proxy_(std::move(proxy)), interrupted_(ctx.cancel, [this] { stop_.request_stop(); }) {
    if (!proxy_.host.empty()) {
      thread_ = std::jthread([this, &options, deadline = ctx.deadline] {
        SetThreadName("bt-proxy");
        stream_ = access::ConnectToProxy(OpContext{deadline, stop_.get_token()}, proxy_, options);
      });
    }
  }
  ~ProxyAhead() { stop_.request_stop(); }
  ProxyAhead(const ProxyAhead&) = delete;
  ProxyAhead& operator=(const ProxyAhead&) = delete;

  // Blocks until it is connected; connects anew where the proxy is another one, or may be tired of waiting.
  Result<std::unique_ptr<ByteStream>> Take(const OpContext& ctx, const access::ProxyAddress& proxy,
                                           const access::ProxyOptions& options) {
    if (!thread_.joinable() || proxy != proxy_ || Clock::now() - began_ > kPatienceOfProxy) {
      return access::ConnectToProxy(ctx, proxy, options);
    }
    thread_.join();
    return std::move(stream_);
  }

 private:
  const TimePoint began_ = Clock::now();
  const access::ProxyAddress proxy_;
  std::stop_source stop_;
  std::stop_callback<std::function<void()>> interrupted_;
  Result<std::unique_ptr<ByteStream>> stream_{Error{}};
  std::jthread thread_;  // ends first
};

}  // namespace

DialerOptions DialerOptions::From(const access::Environment& environment) {
  DialerOptions options;
  options.api.http.ca = access::CaLocations::From(environment);
  options.proxy.ca = options.api.http.ca;
  options.proxy.insecure = environment.Flag("BASETEN_SSH_PROXY_INSECURE");
  return options;
}

Result<std::unique_ptr<ssh::KeyPair>> ChooseKeyPair(const access::Environment& environment) {
  auto loaded = ssh::KeyPair::Load(environment.SshDirectory());
  if (loaded.ok() || loaded.error().code != Code::kNotFound) {
    return loaded;
  }
  return ssh::KeyPair::Generate();
}

NodeDialer::NodeDialer(access::Target target, access::Credentials credentials, std::unique_ptr<ssh::KeyPair> key_pair,
                       DialerOptions options)
    : target_(std::move(target)),
      key_pair_(std::move(key_pair)),
      options_(std::move(options)),
      api_(std::move(credentials), options_.api) {}

Result<DialedNode> NodeDialer::Dial(const OpContext& ctx) {
  ProxyAhead ahead(ctx, LastProxy(), options_.proxy);
  const access::Grant grant = TRY(Sign(ctx));

  Result<std::unique_ptr<ByteStream>> stream = ahead.Take(ctx, grant.proxy, options_.proxy);
  if (stream.ok()) {
    stream = access::PresentGrant(ctx, std::move(stream).value(), grant, options_.proxy);
  }
  if (!stream.ok()) {
    return In(std::move(stream).error(), "connecting to the proxy");
  }
  NoteProxy(grant.proxy);
  const ssh::SshLogin login{target_.ssh_user(), *key_pair_, grant.certificate};
  auto connection = ssh::SshConnection::Open(ctx, std::move(stream).value(), login, options_.ssh);
  if (!connection.ok()) {
    return In(std::move(connection).error(), "SSH login");
  }
  auto channel = (*connection)->OpenSftp(ctx);
  if (!channel.ok()) {
    return In(std::move(channel).error(), "opening SFTP");
  }
  auto fs = sftp::SftpFs::Open(ctx, std::move(channel).value());
  if (!fs.ok()) {
    return In(std::move(fs).error(), "greeting the SFTP server");
  }
  ssh::HostKey host_key = (*connection)->host_key();
  return DialedNode{std::move(fs).value(), std::move(connection).value(), std::move(host_key), grant.expires_at};
}

access::ProxyAddress NodeDialer::LastProxy() {
  const MutexLock lock(mutex_);
  return last_proxy_;
}

void NodeDialer::NoteProxy(const access::ProxyAddress& proxy) {
  const MutexLock lock(mutex_);
  last_proxy_ = proxy;
}

Result<access::JobInfo> NodeDialer::FindJob(const OpContext& ctx) {
  if (target_.kind == access::Target::Kind::kModel) {
    return Error{Code::kInvalid, fmt::format("{} is no training job", target_.display_name()), "dial.no-job",
                 Fate::kNotSent};
  }
  Result<access::JobInfo> job = api_.FindJob(ctx, target_);
  if (!job.ok()) {
    return In(std::move(job).error(), "looking up the job");
  }
  const MutexLock lock(mutex_);
  project_id_ = job->project_id;
  return job;
}

Result<access::Grant> NodeDialer::Sign(const OpContext& ctx) {
  std::string project;
  if (target_.kind == access::Target::Kind::kTrainingJob) {
    project = TRY(ProjectId(ctx));
  }
  Result<access::Grant> grant = api_.Sign(ctx, target_, project, key_pair_->public_key_line());
  if (grant.ok()) {
    return grant;
  }
  if (grant.error().code == Code::kNotRunning) {
    // The sign call does not say which state the job is in; the search does.
    TRY(CheckRunningNow(ctx));
  }
  return In(std::move(grant).error(), "asking for a certificate");
}

Result<std::string> NodeDialer::ProjectId(const OpContext& ctx) {
  {
    const MutexLock lock(mutex_);
    if (!project_id_.empty()) {
      return project_id_;
    }
  }
  const access::JobInfo job = TRY(FindJob(ctx));
  TRY(access::CheckRunning(job));
  return job.project_id;
}

Status NodeDialer::CheckRunningNow(const OpContext& ctx) {
  const Result<access::JobInfo> job = FindJob(ctx);
  if (!job.ok()) {
    return {};  // the refusal in hand says more than a failed second look
  }
  return access::CheckRunning(*job);
}

Error NodeDialer::In(Error error, std::string_view step) const {
  error.fate = Fate::kNotSent;  // nothing of the user's was on its way yet
  return std::move(error).Within(fmt::format("{} ({})", target_.display_name(), step));
}

}  // namespace bt
