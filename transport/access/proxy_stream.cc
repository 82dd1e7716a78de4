#include "transport/access/proxy_stream.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <spdlog/spdlog.h>

#include "transport/access/stop_waker.h"
#include "transport/access/tcp_connect.h"
#include "transport/access/tls_stream.h"

namespace bt::access {
namespace {

constexpr std::byte kYes{0x00};

// uint32 big-endian length, then the JWT; wiped when done.
class Frame {
 public:
  explicit Frame(std::string_view jwt) {
    const auto size = static_cast<std::uint32_t>(jwt.size());
    bytes_.reserve(4 + jwt.size());
    for (const unsigned shift : {24U, 16U, 8U, 0U}) {
      bytes_.push_back(static_cast<std::byte>((size >> shift) & 0xFFU));
    }
    std::transform(jwt.begin(), jwt.end(), std::back_inserter(bytes_),
                   [](char c) { return static_cast<std::byte>(c); });
  }
  ~Frame() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

std::string NameOf(const ProxyAddress& proxy) { return fmt::format("{}:{}", proxy.host, proxy.port); }

Error Refusal(const Grant& grant, std::string_view how) {
  return Error{
      Code::kRefused,
      fmt::format("The proxy {} refused the connection ({}). It gives no reason; usually the job has just ended, "
                  "or there is no SSH server in its container (is SSH enabled for the job?).",
                  NameOf(grant.proxy), how),
      "access.proxy-refused", Fate::kNotSent};
}

Status SendFrame(const OpContext& ctx, StopWaker& waker, ByteStream& stream, const Grant& grant) {
  const Frame frame(grant.jwt.Reveal());
  std::span<const std::byte> left = frame.bytes();
  while (!left.empty()) {
    const Result<std::size_t> written = stream.Write(left);
    if (!written.ok()) {
      return Refusal(grant, written.error().text);  // it hung up before it had heard us out
    }
    left = left.subspan(*written);
    if (*written == 0) {
      TRY(waker.Wait(ctx, stream.fd(), stream.poll_events(/*want_write=*/true)));
    }
  }
  return {};
}

Status ReadAnswer(const OpContext& ctx, StopWaker& waker, ByteStream& stream, const Grant& grant) {
  // One byte and not more: what follows is SSH.
  std::array<std::byte, 1> answer{};
  while (true) {
    const Result<std::size_t> got = stream.Read(answer);
    if (!got.ok()) {
      return Refusal(grant, got.error().text);
    }
    if (*got == 1) {
      return answer[0] == kYes ? Status()
                               : Status(Refusal(grant, fmt::format("status {}", static_cast<unsigned>(answer[0]))));
    }
    TRY(waker.Wait(ctx, stream.fd(), stream.poll_events(/*want_write=*/false)));
  }
}

Result<std::unique_ptr<ByteStream>> Encrypt(const OpContext& ctx, const ProxyAddress& proxy,
                                            const ProxyOptions& options, UniqueFd fd) {
  if (options.insecure) {
    spdlog::warn("BASETEN_SSH_PROXY_INSECURE is set: the connection to the proxy {} is not encrypted by TLS",
                 NameOf(proxy));
    return std::unique_ptr<ByteStream>(std::make_unique<PlainStream>(std::move(fd)));
  }
  std::unique_ptr<ByteStream> stream = TRY(TlsStream::Connect(ctx, std::move(fd), proxy.host, options.ca));
  return stream;
}

Status Introduce(const OpContext& ctx, const Grant& grant, ByteStream& stream) {
  StopWaker waker(ctx.cancel);
  TRY(SendFrame(ctx, waker, stream, grant));
  return ReadAnswer(ctx, waker, stream, grant);
}

OpContext Within(const OpContext& ctx, std::chrono::milliseconds time) {
  OpContext limited = ctx;
  limited.deadline = std::min(ctx.deadline, Clock::now() + time);
  return limited;
}

// A limit of ours that is over, and not the caller's: worth another try.
Error OrSilent(const OpContext& ctx, const ProxyAddress& proxy, Error error) {
  if (error.code == Code::kTimedOut && ctx.Check().ok()) {
    return Error{Code::kUnavailable, fmt::format("The proxy {} took the connection but did not answer", NameOf(proxy)),
                 "access.proxy-silent", Fate::kNotSent};
  }
  return error;
}

}  // namespace

Result<std::unique_ptr<ByteStream>> ConnectToProxy(const OpContext& ctx, const ProxyAddress& proxy,
                                                   const ProxyOptions& options) {
  UniqueFd fd = TRY(TcpConnect(ctx, proxy.host, proxy.port, options.connect_timeout));
  Result<std::unique_ptr<ByteStream>> stream =
      Encrypt(Within(ctx, options.answer_timeout), proxy, options, std::move(fd));
  if (!stream.ok()) {
    return OrSilent(ctx, proxy, std::move(stream).error());
  }
  return stream;
}

Result<std::unique_ptr<ByteStream>> PresentGrant(const OpContext& ctx, std::unique_ptr<ByteStream> stream,
                                                 const Grant& grant, const ProxyOptions& options) {
  const Status taken = Introduce(Within(ctx, options.answer_timeout), grant, *stream);
  if (!taken.ok()) {
    return OrSilent(ctx, grant.proxy, taken.error());
  }
  return stream;
}

}  // namespace bt::access
