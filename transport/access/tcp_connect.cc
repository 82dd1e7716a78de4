#include "transport/access/tcp_connect.h"

#include <fcntl.h>

#include <array>
#include <cerrno>

#include <fmt/format.h>

#include "transport/access/curl_transfer.h"
#include "transport/base/socket_options.h"

namespace bt::access {
namespace {

Error Unreachable(CURLcode code, const char* detail, const std::string& peer) {
  const std::string_view reason = detail[0] != '\0' ? std::string_view(detail) : curl_easy_strerror(code);
  if (code == CURLE_COULDNT_RESOLVE_HOST) {
    return Error{Code::kUnavailable,
                 fmt::format("The name {} cannot be resolved ({}). Is this machine online?", peer, reason),
                 "access.dns", Fate::kNotSent};
  }
  return Error{Code::kUnavailable,
               fmt::format("{} cannot be reached ({}). Does a firewall block the port?", peer, reason),
               "access.connect", Fate::kNotSent};
}

}  // namespace

Result<UniqueFd> TcpConnect(const OpContext& ctx, const std::string& host, std::uint16_t port,
                            std::chrono::milliseconds timeout) {
  TRY(InitCurl());
  const std::string peer =
      host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
  const UniqueEasy easy_owner(curl_easy_init());
  const UniqueMulti multi(curl_multi_init());
  CURL* const easy = easy_owner.get();
  if (easy == nullptr || !multi) {
    return Error{Code::kInternal, "libcurl is out of memory", "access.curl", Fate::kNotSent};
  }

  std::array<char, CURL_ERROR_SIZE> detail{};
  SetCommonOptions(easy);
  curl_easy_setopt(easy, CURLOPT_URL, ("http://" + peer).c_str());
  curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, detail.data());
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(timeout.count()));

  const CURLcode code = TRY(RunTransfer(ctx, multi.get(), easy, /*keep=*/true));
  if (code != CURLE_OK) {
    return Unreachable(code, detail.data(), peer);
  }
  curl_socket_t socket = CURL_SOCKET_BAD;
  curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &socket);
  // A second descriptor of the same connection: libcurl closes its own, the connection stays.
  UniqueFd fd(socket == CURL_SOCKET_BAD ? -1 : ::fcntl(socket, F_DUPFD_CLOEXEC, 0));
  curl_multi_remove_handle(multi.get(), easy);
  if (!fd) {
    return Error{Code::kInternal, "The new connection cannot be taken over: " + SystemText(errno), "access.connect",
                 Fate::kNotSent};
  }
  TRY(SetNonBlocking(fd.get()));
  TuneForLongLink(fd.get());
  return fd;
}

}  // namespace bt::access
