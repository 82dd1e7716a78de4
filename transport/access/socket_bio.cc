#include "transport/access/socket_bio.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <limits>

namespace bt::access {
namespace {

#if defined(MSG_NOSIGNAL)
constexpr int kSendFlags = MSG_NOSIGNAL;
#else
constexpr int kSendFlags = 0;  // there SO_NOSIGPIPE on the socket does it
#endif

int FdOf(BIO* bio) { return static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio))); }

bool TryAgain(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

int Clamp(int wanted) { return std::max(wanted, 0); }

int Write(BIO* bio, const char* bytes, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t sent = ::send(FdOf(bio), bytes, static_cast<std::size_t>(Clamp(size)), kSendFlags);
  if (sent < 0 && TryAgain(errno)) {
    BIO_set_retry_write(bio);
  }
  return static_cast<int>(sent);
}

int Read(BIO* bio, char* bytes, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t got = ::recv(FdOf(bio), bytes, static_cast<std::size_t>(Clamp(size)), 0);
  if (got < 0 && TryAgain(errno)) {
    BIO_set_retry_read(bio);
  }
  return static_cast<int>(got);
}

long Control(BIO* /*bio*/, int command, long /*number*/, void* /*pointer*/) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

int Create(BIO* bio) {
  BIO_set_init(bio, 1);
  return 1;
}

BIO_METHOD* Method() {
  static BIO_METHOD* const kMethod = [] {
    BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket without SIGPIPE");
    if (method != nullptr) {
      BIO_meth_set_write(method, &Write);
      BIO_meth_set_read(method, &Read);
      BIO_meth_set_ctrl(method, &Control);
      BIO_meth_set_create(method, &Create);
    }
    return method;
  }();
  return kMethod;
}

}  // namespace

UniqueBio MakeSocketBio(int fd) {
  BIO_METHOD* method = Method();
  UniqueBio bio(method == nullptr ? nullptr : BIO_new(method));
  if (bio) {
    BIO_set_data(bio.get(), reinterpret_cast<void*>(static_cast<std::intptr_t>(fd)));
  }
  return bio;
}

}  // namespace bt::access
