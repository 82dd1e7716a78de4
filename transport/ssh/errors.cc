#include "transport/ssh/errors.h"

#include <fmt/format.h>

#include "transport/ssh/session.h"

namespace bt::ssh {
namespace {

struct Meaning {
  Code code;
  const char* tag;
};

Meaning MeaningOf(int status) {
  switch (status) {
    case LIBSSH2_ERROR_SOCKET_NONE:
    case LIBSSH2_ERROR_SOCKET_SEND:
    case LIBSSH2_ERROR_SOCKET_RECV:
    case LIBSSH2_ERROR_SOCKET_DISCONNECT:
    case LIBSSH2_ERROR_SOCKET_TIMEOUT:
    case LIBSSH2_ERROR_BAD_SOCKET:
    case LIBSSH2_ERROR_BANNER_SEND:
      return {Code::kDisconnected, "ssh.disconnected"};
    case LIBSSH2_ERROR_TIMEOUT:
      return {Code::kTimedOut, "ssh.timeout"};
    case LIBSSH2_ERROR_AUTHENTICATION_FAILED:
    case LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED:
      return {Code::kRefused, "ssh.auth"};
    case LIBSSH2_ERROR_CHANNEL_FAILURE:
    case LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED:
    case LIBSSH2_ERROR_REQUEST_DENIED:
      return {Code::kUnavailable, "ssh.channel"};
    case LIBSSH2_ERROR_CHANNEL_CLOSED:
    case LIBSSH2_ERROR_CHANNEL_EOF_SENT:
      return {Code::kDisconnected, "ssh.channel-closed"};
    case LIBSSH2_ERROR_KEX_FAILURE:
    case LIBSSH2_ERROR_KEY_EXCHANGE_FAILURE:
    case LIBSSH2_ERROR_HOSTKEY_INIT:
    case LIBSSH2_ERROR_HOSTKEY_SIGN:
    case LIBSSH2_ERROR_METHOD_NONE:
    case LIBSSH2_ERROR_METHOD_NOT_SUPPORTED:
    case LIBSSH2_ERROR_BANNER_RECV:
      return {Code::kProtocol, "ssh.handshake"};
    case LIBSSH2_ERROR_ALLOC:
    case LIBSSH2_ERROR_INVAL:
    case LIBSSH2_ERROR_BAD_USE:
    case LIBSSH2_ERROR_RANDGEN:
      return {Code::kInternal, "ssh.internal"};
    default:
      return {Code::kProtocol, "ssh.protocol"};  // a bad MAC, a bad length, a message out of order
  }
}

}  // namespace

Error SessionError(LIBSSH2_SESSION* session, int status, std::string_view doing) {
  char* text = nullptr;
  int size = 0;
  const int last = libssh2_session_last_error(session, &text, &size, 0);
  if (Session::Of(session).heap().exhausted()) {
    return Error{Code::kProtocol,
                 fmt::format("{} failed: the container's SSH server sent more than it may, or damaged data", doing),
                 "ssh.memory", Fate::kNotSent};
  }
  const Meaning meaning = MeaningOf(status);
  if (last != 0 && last != LIBSSH2_ERROR_EAGAIN && text != nullptr && size > 0) {
    return Error{meaning.code,
                 fmt::format("{} failed: {} (libssh2 {})", doing,
                             Printable(std::string_view(text, static_cast<std::size_t>(size))), status),
                 meaning.tag, Fate::kNotSent};
  }
  return Error{meaning.code, fmt::format("{} failed (libssh2 {})", doing, status), meaning.tag, Fate::kNotSent};
}

std::string Printable(std::string_view text) {
  constexpr std::size_t kLongest = 200;
  std::string clean;
  for (const char c : text.substr(0, kLongest)) {
    const bool printable = c >= ' ' && c != '\x7f';  // bytes beyond ASCII are left out too: they may be anything
    const char shown = printable ? c : ' ';
    if (shown != ' ' || (!clean.empty() && clean.back() != ' ')) {
      clean.push_back(shown);
    }
  }
  if (!clean.empty() && clean.back() == ' ') {
    clean.pop_back();
  }
  if (text.size() > kLongest) {
    clean += "...";
  }
  return clean;
}

}  // namespace bt::ssh
