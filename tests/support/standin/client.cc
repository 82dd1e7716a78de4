#include "tests/support/standin/client.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "tests/support/standin/http.h"
#include "tests/support/standin/process.h"
#include "tests/support/standin/ssh_authority.h"

namespace bt::standin {
namespace {

using nlohmann::json;

constexpr std::size_t kBufferBytes = 256U << 10U;

Error ClientError(std::string text) { return Error{Code::kUnavailable, std::move(text), "standin.client"}; }

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

std::string FirstLine(const std::string& file) {
  std::string line;
  std::getline(std::ifstream(file) >> std::ws, line);
  return line;
}

Result<std::pair<std::string, std::string>> SplitAddress(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos) {
    return ClientError(fmt::format("\"{}\" is no host:port", address));
  }
  return std::pair{address.substr(0, colon), address.substr(colon + 1)};
}

Result<json> Post(TlsStream& stream, const std::string& host, const std::string& path, const json& body) {
  const std::string text = body.dump();
  if (!stream.WriteAll(
          fmt::format("POST {} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nUser-Agent: bt-standin\r\n"
                      "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
                      path, host, Environment("BASETEN_API_KEY"), text.size(), text))) {
    return ClientError(path + ": the connection ended");
  }
  const std::optional<HttpResponse> response = HttpReader(stream).ReadResponse();
  if (!response) {
    return ClientError(path + ": no answer");
  }
  json answer = json::parse(response->body, nullptr, false);
  if (response->status != 200 || answer.is_discarded()) {
    return ClientError(fmt::format("{}: {} {}", path, response->status, response->body));
  }
  return answer;
}

// Bytes on their way from one side to the other.
struct Buffer {
  std::vector<char> bytes = std::vector<char>(kBufferBytes);
  std::size_t begin = 0;
  std::size_t end = 0;
  bool empty() const { return begin == end; }
  std::span<char> space() { return std::span(bytes).subspan(end); }
  std::string_view data() const { return {bytes.data() + begin, end - begin}; }
  void Take(std::size_t n) {
    begin += n;
    if (begin == end) {
      begin = end = 0;
    }
  }
};

void SetNonBlocking(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK); }

// Reads as many records as fit. False at the end of the stream.
bool FillFromTls(SSL* ssl, Buffer& buffer) {
  while (!buffer.space().empty()) {
    ERR_clear_error();
    std::size_t n = 0;
    if (SSL_read_ex(ssl, buffer.space().data(), buffer.space().size(), &n) != 1) {
      const int why = SSL_get_error(ssl, 0);
      return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
    }
    buffer.end += n;
  }
  return true;
}

bool FlushToTls(SSL* ssl, Buffer& buffer) {
  while (!buffer.empty()) {
    ERR_clear_error();
    std::size_t n = 0;
    if (SSL_write_ex(ssl, buffer.data().data(), buffer.data().size(), &n) != 1) {
      const int why = SSL_get_error(ssl, 0);
      return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
    }
    buffer.Take(n);
  }
  return true;
}

void Relay(const TlsStream& stream) {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, stream.fd()}) {
    SetNonBlocking(fd);
  }
  SSL* ssl = stream.ssl();
  Buffer up;
  Buffer down;
  bool input_open = true;
  bool stream_open = true;
  while ((stream_open || !down.empty()) && (input_open || !up.empty() || stream_open)) {
    const auto stream_events =
        static_cast<short>((down.empty() && stream_open ? POLLIN : 0) | (up.empty() ? 0 : POLLOUT));
    std::array<pollfd, 3> fds{
        pollfd{.fd = input_open && up.empty() ? STDIN_FILENO : -1, .events = POLLIN, .revents = 0},
        pollfd{.fd = down.empty() ? -1 : STDOUT_FILENO, .events = POLLOUT, .revents = 0},
        pollfd{.fd = stream_events != 0 ? stream.fd() : -1, .events = stream_events, .revents = 0}};
    const bool pending = down.empty() && stream_open && SSL_pending(ssl) > 0;
    if (::poll(fds.data(), fds.size(), pending ? 0 : -1) < 0 && errno != EINTR) {
      return;
    }
    if (fds[0].revents != 0) {
      const ssize_t n = ::read(STDIN_FILENO, up.space().data(), up.space().size());
      if (n > 0) {
        up.end += static_cast<std::size_t>(n);
      } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        input_open = false;
        stream_open = stream_open && SSL_shutdown(ssl) >= 0;
      }
    }
    if (stream_open && !FlushToTls(ssl, up)) {
      stream_open = false;
    }
    if (stream_open && down.empty() && !FillFromTls(ssl, down)) {
      stream_open = false;
    }
    if (!down.empty()) {
      const ssize_t n = ::write(STDOUT_FILENO, down.data().data(), down.data().size());
      if (n > 0) {
        down.Take(static_cast<std::size_t>(n));
      } else if (n < 0 && errno != EAGAIN && errno != EINTR) {
        return;
      }
    }
  }
}

}  // namespace

Result<ClientTarget> ClientTarget::Parse(std::string text) {
  constexpr std::string_view kPrefix = "training-job-";
  ClientTarget target;
  char separator = '/';
  if (text.starts_with(kPrefix)) {
    text = text.substr(kPrefix.size(), text.find('.') - kPrefix.size());
    separator = '-';
  }
  const std::size_t at = text.rfind(separator);
  target.job = text.substr(0, at);
  if (at != std::string::npos) {
    target.node = text.substr(at + 1);
  }
  if (target.job.empty() || target.node.empty() ||
      target.job.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789") != std::string::npos) {
    return Error{Code::kInvalid, fmt::format("\"{}\" is no job, no job/node and no host name of a job", text),
                 "standin.target"};
  }
  return target;
}

Result<SignAnswer> RequestAccess(const ClientTarget& target, const std::string& public_key) {
  std::string host = Environment("BASETEN_BASE_URL");
  constexpr std::string_view kScheme = "https://";
  if (!host.starts_with(kScheme)) {
    return ClientError("BASETEN_BASE_URL is not set to an https address");
  }
  const auto [name, port] = TRY(SplitAddress(host.substr(kScheme.size())));
  TlsStream stream = TRY(TlsStream::Connect(name, port));
  const json found = TRY(Post(stream, name, "/v1/training_jobs/search", {{"job_id", target.job}}));
  if (found["training_jobs"].empty()) {
    return ClientError("no such job: " + target.job);
  }
  const std::string project = found["training_jobs"][0]["training_project_id"].get<std::string>();
  const json answer =
      TRY(Post(stream, name, fmt::format("/v1/training_projects/{}/jobs/{}/ssh/sign", project, target.job),
               {{"public_key", public_key}, {"replica_id", target.node}}));
  return SignAnswer{.certificate = answer["ssh_certificate"].get<std::string>(),
                    .token = answer["jwt"].get<std::string>(),
                    .proxy_address = answer["proxy_address"].get<std::string>()};
}

Status SignKey(const ClientTarget& target, const std::string& key_file) {
  if (!std::filesystem::exists(key_file)) {
    Spawner spawner;
    TRY(MakeSshKey(spawner, key_file, "/dev/null"));
  }
  const SignAnswer answer = TRY(RequestAccess(target, FirstLine(key_file + ".pub")));
  std::ofstream out(key_file + "-cert.pub");
  out << answer.certificate << '\n';
  return out.flush() ? Status() : ClientError("cannot write " + key_file + "-cert.pub");
}

Status ConnectStdio(const ClientTarget& target, const std::string& key_file) {
  const SignAnswer answer = TRY(RequestAccess(target, FirstLine(key_file + ".pub")));
  const auto [host, port] = TRY(SplitAddress(answer.proxy_address));
  TlsStream stream = TRY(TlsStream::Connect(host, port));
  std::string frame;
  for (int shift = 24; shift >= 0; shift -= 8) {
    frame += static_cast<char>((answer.token.size() >> static_cast<unsigned>(shift)) & 0xffU);
  }
  frame += answer.token;
  char status = 1;
  if (!stream.WriteAll(frame) || stream.Read({&status, 1}) != 1 || status != 0) {
    return ClientError("the proxy refuses the token");
  }
  Relay(stream);
  return {};
}

}  // namespace bt::standin
