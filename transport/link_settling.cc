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
  std::vector<Predecessor> doubtful;
  {
    MutexLock lock(mutex_);
    std::erase_if(predecessors_, [&](const Predecessor& lost) {
      return !lost.changes->any() || session.host_key() != host_key_;  // another container is sent nothing again
    });
    doubtful = predecessors_;
  }
  if (doubtful.empty()) {
    return;
  }
  const TimePoint began = Clock::now();
  own = AskWhoServes(session.fs(), stop);
  if (session.ended()) {
    return;
  }
  for (const Predecessor& lost : doubtful) {
    // The time granted to those that sleep or cannot be seen runs for all of them at once.
    SettleOptions options = options_.settle;
    const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began);
    options.asleep = std::max(options.asleep - passed, std::chrono::milliseconds(0));
    const auto settled =
        AwaitEnd(OpContext::WithTimeout(options.asleep + options.working + options_.timing.dead_after, stop),
                 session.fs(), lost.server ? &*lost.server : nullptr, own ? &*own : nullptr, options);
    if (!settled) {
      return;  // this connection is lost as well: the next one will wait for the same
    }
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began);
    spdlog::log(*settled == Settled::kWorking ? spdlog::level::warn : spdlog::level::info,
                "link: waited {} for the server of the lost connection, which had changes to make: {}",
                FormatDuration(took), Words(*settled));
  }
  MutexLock lock(mutex_);
  predecessors_.clear();
}

}  // namespace bt
