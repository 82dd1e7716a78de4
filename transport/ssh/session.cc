#include "transport/ssh/session.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <spdlog/spdlog.h>

#include <array>

#include "transport/ssh/algorithms.h"
#include "transport/ssh/errors.h"
#include "transport/ssh/wire.h"

namespace bt::ssh {

// libssh2's callbacks; its cookie is the Session.
struct SessionCallbacks {
  static void* Allocate(std::size_t size, void** abstract) {
    return static_cast<Session*>(*abstract)->heap_.Allocate(size);
  }
  static void* Reallocate(void* block, std::size_t size, void** abstract) {
    return static_cast<Session*>(*abstract)->heap_.Reallocate(block, size);
  }
  static void Free(void* block, void** abstract) { static_cast<Session*>(*abstract)->heap_.Free(block); }
  static ssize_t Receive(libssh2_socket_t /*socket*/, void* out, std::size_t size, int /*flags*/, void** abstract) {
    return static_cast<Session*>(*abstract)->stream_.Receive(out, size);
  }
  static ssize_t Send(libssh2_socket_t /*socket*/, const void* bytes, std::size_t size, int /*flags*/,
                      void** abstract) {
    return static_cast<Session*>(*abstract)->stream_.Send(bytes, size);
  }
  static void Disconnected(LIBSSH2_SESSION* /*session*/, int reason, const char* message, int message_size,
                           const char* /*language*/, int /*language_size*/, void** abstract) {
    std::string words;
    if (message != nullptr && message_size > 0) {
      words = Printable(std::string_view(message, static_cast<std::size_t>(message_size)));
    }
    static_cast<Session*>(*abstract)->farewell_ =
        words.empty() ? fmt::format("reason {}", reason) : fmt::format("\"{}\"", words);
  }
};

namespace {

// libssh2_init counts without a lock, so it is called once, here.
int InitLibrary() {
  static const int status = libssh2_init(0);
  return status;
}

template <typename F>
libssh2_cb_generic* Generic(F* callback) {
  return reinterpret_cast<libssh2_cb_generic*>(callback);
}

}  // namespace

Result<std::unique_ptr<Session>> Session::Create(StreamBuffer& stream, int fd) {
  if (InitLibrary() != 0) {
    return Error{Code::kInternal, "libssh2 could not be initialised", "ssh.internal", Fate::kNotSent};
  }
  std::unique_ptr<Session> session(new Session(stream, fd));
  session->session_ = libssh2_session_init_ex(&SessionCallbacks::Allocate, &SessionCallbacks::Free,
                                              &SessionCallbacks::Reallocate, session.get());
  if (session->session_ == nullptr) {
    return Error{Code::kInternal, "libssh2 could not make a session: out of memory", "ssh.internal", Fate::kNotSent};
  }
  LIBSSH2_SESSION* raw = session->session_;
  libssh2_session_set_blocking(raw, 0);
  libssh2_session_callback_set2(raw, LIBSSH2_CALLBACK_RECV, Generic(&SessionCallbacks::Receive));
  libssh2_session_callback_set2(raw, LIBSSH2_CALLBACK_SEND, Generic(&SessionCallbacks::Send));
  libssh2_session_callback_set2(raw, LIBSSH2_CALLBACK_DISCONNECT, Generic(&SessionCallbacks::Disconnected));
  const Status offered = OfferAlgorithms(raw);
  if (!offered.ok()) {
    return offered.error();
  }
  return session;
}

Session::~Session() {
  if (session_ == nullptr) {
    return;
  }
  stream_.Kill();
  // With a dead stream nothing waits; the bound is there so that a surprise does not cost the thread. The heap gives
  // back what libssh2 does not.
  for (int attempt = 0; attempt < 100; ++attempt) {
    if (libssh2_session_free(session_) != LIBSSH2_ERROR_EAGAIN) {
      return;
    }
  }
  spdlog::warn("ssh: libssh2 did not give up a session");
}

Result<bool> Session::Handshake() {
  const int status = libssh2_session_handshake(session_, fd_);
  if (status == LIBSSH2_ERROR_EAGAIN) {
    return false;
  }
  if (status != 0) {
    return SessionError(session_, status, "the SSH handshake with the container");
  }
  return true;
}

Result<HostKey> Session::ReadHostKey() const {
  std::size_t size = 0;
  int type = 0;
  const char* raw = libssh2_session_hostkey(session_, &size, &type);
  if (raw == nullptr) {
    return Error{Code::kProtocol, "the container's SSH server showed no host key", "ssh.host-key", Fate::kNotSent};
  }
  const auto bytes = std::as_bytes(std::span(raw, size));
  HostKey key;
  key.raw.assign(bytes.begin(), bytes.end());
  key.type = Printable(WireReader(bytes).Text().value_or("unknown"));
  std::array<std::byte, 32> digest{};
  unsigned int digest_size = 0;
  if (EVP_Digest(raw, size, reinterpret_cast<unsigned char*>(digest.data()), &digest_size, EVP_sha256(), nullptr) !=
      1) {
    return Error{Code::kInternal, "OpenSSL failed to compute a SHA-256", "ssh.crypto", Fate::kNotSent};
  }
  std::string text = EncodeBase64(digest);
  text.erase(text.find_last_not_of('=') + 1);
  key.fingerprint = "SHA256:" + text;
  return key;
}

std::string Session::server_version() const {
  const char* banner = libssh2_session_banner_get(session_);
  return banner == nullptr ? std::string() : Printable(banner);
}

void Session::SayGoodbye() { libssh2_session_disconnect(session_, "bt-mount has finished"); }

}  // namespace bt::ssh
