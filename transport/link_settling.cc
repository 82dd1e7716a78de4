// What the link keeper knows of the servers behind its connections, and how it makes sure that a lost one does nothing
// any more (transport/server_process.h).
#include <algorithm>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "transport/base/units.h"
#include "transport/link.h"

namespace bt {
namespace {

// For a handful of round trips, behind whatever else is on its way.
constexpr auto kAskingTimeout = std::chrono::seconds(5);

std::string_view Words(Settled settled) {
  switch (settled) {
    case Settled::kGone:
      return "it has ended";
    case Settled::kAsleep:
      return "it is still there, asleep";
    case Settled::kWorking:
      return "it is still there, and at work: what it does late may undo later changes";
    case Settled::kNotTraceable:
      return "it cannot be seen from here";
  }
  return "";
}

}  // namespace

std::optional<ServerProcess> Link::AskWhoServes(RemoteFs& fs, const std::stop_token& stop) const {
  if (!options_.settle.look_at_processes) {
    return std::nullopt;
  }
  auto process = FindServerProcess(OpContext::WithTimeout(kAskingTimeout, stop), fs);
  if (!process) {
    spdlog::debug("link: which process serves is not known: {}", Describe(process.error()));
    return std::nullopt;
  }
  return std::move(process).value();
}

void Link::LearnWhoServes(const std::stop_token& stop) {
  Connection connection;
  {
    MutexLock lock(mutex_);
    if (current_.session == nullptr || std::exchange(server_asked_, true)) {
      return;
    }
    connection = current_;
  }
  std::optional<ServerProcess> server = AskWhoServes(connection.session->fs(), stop);
  MutexLock lock(mutex_);
  if (current_.changes == connection.changes && current_.session != nullptr) {
    server_ = std::move(server);
    return;
  }
  for (Predecessor& lost : predecessors_) {
    if (lost.changes == connection.changes) {
      lost.server = server;
    }
  }
}

void Link::Settle(Session& session, std::optional<ServerProcess>& own, const std::stop_token& stop) {
  // Nothing is lost while there is no connection, so until this has returned the list is the keeper's alone.
  std::vector<Predecessor> lost;
  bool same_container = true;
  {
    MutexLock lock(mutex_);
    lost.swap(predecessors_);
    same_container = session.host_key() == host_key_;
  }
  if (!same_container) {
    return;  // another container is sent nothing again
  }
  for (const Predecessor& predecessor : lost) {
    // Whoever lost it may not have come to that yet, and what is sent until then must be counted.
    predecessor.session->Abort(Error{Code::kDisconnected, "the connection was lost", "link.lost"});
  }
  std::erase_if(lost, [](const Predecessor& predecessor) { return !predecessor.changes->any(); });
  if (lost.empty()) {
    return;
  }
  const TimePoint began = Clock::now();
  own = AskWhoServes(session.fs(), stop);
  const auto next_one_waits = [&] {  // this connection is lost as well
    MutexLock lock(mutex_);
    predecessors_ = std::move(lost);
  };
  if (session.ended()) {
    return next_one_waits();
  }
  struct Doubtful {
    std::optional<ServerProcess> server;
    TimePoint lost_at;
  };
  std::vector<Doubtful> servers;
  for (const Predecessor& predecessor : lost) {
    servers.push_back({predecessor.server, predecessor.lost_at});
    for (std::optional<ServerProcess>& server : predecessor.session->unsettled_servers()) {
      servers.push_back({std::move(server), predecessor.lost_at});
    }
  }
  for (const auto& [server, lost_at] : servers) {
    // The time granted runs for all of them at once: to those that sleep, from when they are looked at; to those that
    // cannot be seen, from when their connection was lost, also when the connections since have not lived for so long.
    SettleOptions options = options_.settle;
    const auto passed =
        std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - (server && own ? began : lost_at));
    options.asleep = std::max(options.asleep - passed, std::chrono::milliseconds(0));
    const auto settled =
        AwaitEnd(OpContext::WithTimeout(options.asleep + options.working + options_.timing.dead_after, stop),
                 session.fs(), server ? &*server : nullptr, own ? &*own : nullptr, options);
    if (!settled) {
      return next_one_waits();
    }
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began);
    spdlog::log(*settled == Settled::kWorking ? spdlog::level::warn : spdlog::level::info,
                "link: waited {} for a server of the lost connection, which had changes to make: {}",
                FormatDuration(took), Words(*settled));
  }
}

}  // namespace bt
