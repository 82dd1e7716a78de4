#include "tests/support/standin/api_server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <array>
#include <csignal>
#include <optional>
#include <utility>

#include "transport/base/thread_name.h"

namespace bt::standin {

ApiServer::ApiServer(Service& service, const TlsIdentities& identities) : service_(service), identities_(identities) {}

ApiServer::~ApiServer() {
  std::list<Session> sessions;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    for (const Session& session : sessions_) {
      if (session.fd >= 0) {
        ::shutdown(session.fd, SHUT_RDWR);
      }
    }
    sessions.swap(sessions_);
  }
  changed_.NotifyAll();
  sessions.clear();  // joins
}

UniqueFd ApiServer::Connect() {
  if (TakeFault({}, true).kind == ApiFaultKind::kReset) {
    return {};
  }
  std::array<int, 2> pair{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) {
    return {};
  }
  UniqueFd ours(pair[0]);
  UniqueFd theirs(pair[1]);
  ::fcntl(theirs.get(), F_SETFL, O_NONBLOCK);

  std::list<Session> ended;  // joined without the lock
  MutexLock lock(mutex_);
  if (stopping_) {
    return {};
  }
  for (auto session = sessions_.begin(); session != sessions_.end();) {
    const auto next = std::next(session);
    if (session->done) {
      ended.splice(ended.end(), sessions_, session);
    }
    session = next;
  }
  Session& session = sessions_.emplace_back();
  session.fd = ours.get();
  session.thread = std::jthread([this, &session, fd = std::move(ours)]() mutable { Serve(session, std::move(fd)); });
  lock.Unlock();
  return theirs;
}

void ApiServer::Serve(Session& session, UniqueFd fd) {
  SetThreadName("standin-api");
  sigset_t pipe;  // OpenSSL writes without MSG_NOSIGNAL
  ::sigemptyset(&pipe);
  ::sigaddset(&pipe, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  {
    Result<TlsStream> stream = TlsStream::Accept(std::move(fd), identities_.context(certificate_));
    if (stream.ok()) {
      HttpReader reader(*stream);
      while (const std::optional<HttpRequest> request = reader.ReadRequest()) {
        const auto connection = request->headers.find("connection");
        const bool keep_alive = connection == request->headers.end() || connection->second != "close";
        if (!stream->WriteAll(Format(Respond(*request), keep_alive)) || !keep_alive) {
          break;
        }
      }
      SSL_shutdown(stream->ssl());
    }
    // The descriptor's number is about to be free for reuse: from here on nobody may shut it down.
    MutexLock lock(mutex_);
    session.fd = -1;
  }
  MutexLock lock(mutex_);
  session.done = true;
}

HttpResponse ApiServer::Respond(const HttpRequest& request) {
  const std::string endpoint = Service::Endpoint(request);
  {
    MutexLock lock(mutex_);
    ++calls_[endpoint];
  }
  const ApiFault fault = TakeFault(endpoint, false);
  HttpResponse response{.status = fault.status, .body = {}, .content_type = "application/json", .headers = {}};
  if (fault.retry_after >= 0) {
    response.headers["Retry-After"] = std::to_string(fault.retry_after);
  }
  switch (fault.kind) {
    case ApiFaultKind::kStatus:
      response.body = R"({"error": "the stand-in was asked to fail"})";
      return response;
    case ApiFaultKind::kHtml:
      response.content_type = "text/html";
      response.body = "<html><head><title>Bad gateway</title></head><body><h1>Bad gateway</h1></body></html>";
      return response;
    case ApiFaultKind::kGarbage:
      response.body = "{\"training_jobs\": [{\"id\": \x01\xff";
      return response;
    case ApiFaultKind::kEmpty:
      return response;
    case ApiFaultKind::kSlow:
    case ApiFaultKind::kHang:
      WaitOut(fault);
      break;
    case ApiFaultKind::kNone:
    case ApiFaultKind::kReset:
      break;
  }
  return service_.Answer(request);
}

ApiFault ApiServer::TakeFault(const std::string& endpoint, bool connecting) {
  MutexLock lock(mutex_);
  if (fault_.kind == ApiFaultKind::kNone || Clock::now() >= fault_ends_ ||
      connecting != (fault_.kind == ApiFaultKind::kReset) ||
      (!connecting && !fault_.endpoint.empty() && fault_.endpoint != endpoint)) {
    return {};
  }
  ApiFault taken = fault_;
  if (fault_.calls > 0 && --fault_.calls == 0) {
    fault_.kind = ApiFaultKind::kNone;
  }
  return taken;
}

void ApiServer::WaitOut(const ApiFault& fault) {
  const TimePoint until = fault.kind == ApiFaultKind::kSlow ? Clock::now() + fault.wait : TimePoint::max();
  MutexLock lock(mutex_);
  const std::uint64_t number = fault_number_;
  const OpContext wait{.deadline = until, .cancel = {}};
  while (!stopping_ && number == fault_number_ && Clock::now() < until) {
    changed_.Wait(mutex_, wait);
  }
}

void ApiServer::SetFault(const ApiFault& fault) {
  {
    MutexLock lock(mutex_);
    fault_ = fault;
    fault_ends_ = fault.lasts.count() > 0 ? Clock::now() + fault.lasts : TimePoint::max();
    ++fault_number_;
  }
  changed_.NotifyAll();
}

std::map<std::string, std::uint64_t> ApiServer::calls() const {
  MutexLock lock(mutex_);
  return calls_;
}

}  // namespace bt::standin
