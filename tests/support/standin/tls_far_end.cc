#include "tests/support/standin/tls_far_end.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include <algorithm>

#include "tests/support/standin/sockets.h"

namespace bt::standin {
namespace {

constexpr std::size_t kRecordBytes = 16384;
constexpr std::size_t kBufferBytes = 16 * kRecordBytes;
constexpr std::size_t kRecordOverhead = 64;  // header, tag and nonce of any cipher, generously
constexpr std::size_t kMaxToken = 16384;
constexpr std::size_t kFrameHead = 4;

TlsFarEnd& Owner(BIO* bio) { return *static_cast<TlsFarEnd*>(BIO_get_data(bio)); }

int OnBioRead(BIO* bio, char* out, int size) {
  bool retry = false;
  const int n = Owner(bio).BioRead(out, size, &retry);
  BIO_clear_retry_flags(bio);
  if (retry) {
    BIO_set_retry_read(bio);
  }
  return n;
}

int OnBioWrite(BIO* bio, const char* bytes, int size) {
  BIO_clear_retry_flags(bio);
  return Owner(bio).BioWrite(bytes, size);
}

long OnBioControl(BIO* /*bio*/, int command, long /*number*/, void* /*pointer*/) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO_METHOD* LineBioMethod() {
  static BIO_METHOD* const kMethod = [] {
    BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "delay lines");
    BIO_meth_set_read(method, OnBioRead);
    BIO_meth_set_write(method, OnBioWrite);
    BIO_meth_set_ctrl(method, OnBioControl);
    return method;
  }();
  return kMethod;
}

}  // namespace

TlsFarEnd::TlsFarEnd(ProxyDoor& door) : door_(door) {}

TlsFarEnd::~TlsFarEnd() = default;

bool TlsFarEnd::Open() {
  ssl_.reset(SSL_new(door_.tls_context()));
  BIO* bio = BIO_new(LineBioMethod());
  if (!ssl_ || bio == nullptr) {
    BIO_free(bio);
    return false;
  }
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);  // owns it now
  SSL_set_accept_state(ssl_.get());
  return true;
}

int TlsFarEnd::BioRead(char* out, int size, bool* retry) {
  int total = 0;
  while (total < size) {
    const auto bytes = up_->Arrived(now_);
    if (bytes.empty()) {
      break;
    }
    const std::size_t n = std::min(bytes.size(), static_cast<std::size_t>(size - total));
    std::copy_n(reinterpret_cast<const char*>(bytes.data()), n, out + total);
    up_->Consume(n, now_);
    total += static_cast<int>(n);
  }
  if (total == 0) {
    *retry = !up_->Ended(now_);
    return *retry ? -1 : 0;
  }
  return total;
}

int TlsFarEnd::BioWrite(const char* bytes, int size) {
  down_->Push(std::as_bytes(std::span{bytes, static_cast<std::size_t>(size)}), now_);
  return size;
}

bool TlsFarEnd::Pump(DelayLine& up, DelayLine& down, TimePoint now) {
  up_ = &up;
  down_ = &down;
  now_ = now;
  if (stage_ == Stage::kHandshake) {
    ERR_clear_error();
    const int done = SSL_do_handshake(ssl_.get());
    if (done == 1) {
      stage_ = Stage::kFrame;
    } else if (const int why = SSL_get_error(ssl_.get(), done);
               why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
      // The alert, if any, is already in the line; the client reads it and then the end.
      stage_ = Stage::kOver;
      down_->End(now_);
    }
  }
  if (stage_ == Stage::kFrame) {
    ReadFrame();
  }
  if (stage_ == Stage::kConnecting && (ready.write || ready.hang_up)) {
    FinishConnecting();
  }
  bool moved = false;
  if (stage_ == Stage::kRelaying) {
    moved = PumpUp();
    moved = PumpDown() || moved;
  }
  return moved;
}

std::size_t TlsFarEnd::ReadPlain(void* out, std::size_t size) {
  ERR_clear_error();
  std::size_t n = 0;
  if (SSL_read_ex(ssl_.get(), out, size, &n) == 1) {
    return n;
  }
  const int why = SSL_get_error(ssl_.get(), 0);
  if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
    client_ended_ = true;
  }
  return 0;
}

void TlsFarEnd::ReadFrame() {
  for (;;) {
    std::size_t wanted = kFrameHead;
    if (frame_.size() >= kFrameHead) {
      std::size_t length = 0;
      for (std::size_t i = 0; i < kFrameHead; ++i) {
        length = (length << 8U) | static_cast<unsigned char>(frame_[i]);
      }
      if (length > kMaxToken) {
        Refuse();
        return;
      }
      wanted += length;
      if (frame_.size() == wanted) {
        break;
      }
    }
    char buffer[1024];
    const std::size_t n = ReadPlain(buffer, std::min(sizeof buffer, wanted - frame_.size()));
    frame_.append(buffer, n);
    if (client_ended_) {
      EndDown();
    }
    if (n == 0) {
      return;
    }
  }
  const std::optional<std::uint16_t> port = door_.refuse_mode() == RefuseMode::kNone
                                                ? door_.Admit(std::string_view(frame_).substr(kFrameHead))
                                                : std::nullopt;
  frame_.clear();
  if (!port) {
    Refuse();
    return;
  }
  fd_ = ConnectLoopback(*port);
  if (!fd_) {
    Refuse();
    return;
  }
  stage_ = Stage::kConnecting;
}

void TlsFarEnd::FinishConnecting() {
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) {
    Refuse();
    return;
  }
  constexpr char kYes = 0;
  SSL_write(ssl_.get(), &kYes, 1);
  door_.CountAnswer(true);
  to_ssh_.resize(kBufferBytes);
  from_ssh_.resize(kBufferBytes);
  stage_ = Stage::kRelaying;
}

void TlsFarEnd::Refuse() {
  door_.CountAnswer(false);
  if (door_.refuse_mode() != RefuseMode::kClose) {
    constexpr char kNo = 1;
    SSL_write(ssl_.get(), &kNo, 1);
  }
  EndDown();
}

void TlsFarEnd::EndDown() {
  if (!down_->has_end()) {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    down_->End(now_);
  }
  stage_ = Stage::kOver;
}

bool TlsFarEnd::PumpUp() {
  bool moved = false;
  while (!client_ended_ && to_ssh_.size() - to_ssh_end_ >= kRecordBytes) {
    const std::size_t n = ReadPlain(to_ssh_.data() + to_ssh_end_, to_ssh_.size() - to_ssh_end_);
    if (n == 0) {
      break;
    }
    to_ssh_end_ += n;
    moved = true;
  }
  if (to_ssh_begin_ < to_ssh_end_ && ready.write) {
    const Io io = WriteSome(fd_.get(), std::span(to_ssh_).subspan(to_ssh_begin_, to_ssh_end_ - to_ssh_begin_), ready);
    to_ssh_begin_ += io.size;
    broken_ = broken_ || io.outcome == IoOutcome::kError;
    moved = moved || io.size > 0;
  }
  if (to_ssh_begin_ == to_ssh_end_) {
    to_ssh_begin_ = to_ssh_end_ = 0;
    if (client_ended_ && !shut_) {
      shut_ = true;
      ::shutdown(fd_.get(), SHUT_WR);
    }
  }
  return moved;
}

bool TlsFarEnd::PumpDown() {
  if (!ready.read || down_->has_end()) {
    return false;
  }
  const std::size_t room = down_->Room(now_);
  const std::size_t records = room / kRecordBytes + 1;
  if (room == 0) {
    return false;
  }
  // Small turns of a slow link may be smaller than a record's overhead: let at least a little through.
  const std::size_t size =
      std::min(from_ssh_.size(), room > 2 * records * kRecordOverhead ? room - records * kRecordOverhead : room);
  const Io io = ReadSome(fd_.get(), std::span(from_ssh_).first(size), ready);
  switch (io.outcome) {
    case IoOutcome::kMoved: {
      std::size_t done = 0;
      while (done < io.size) {
        ERR_clear_error();
        std::size_t n = 0;
        if (SSL_write_ex(ssl_.get(), from_ssh_.data() + done, io.size - done, &n) != 1) {
          broken_ = true;  // the line takes everything, so this is an error of TLS itself
          return false;
        }
        done += n;
      }
      return true;
    }
    case IoOutcome::kEnd:
      EndDown();
      return true;
    case IoOutcome::kError:
      broken_ = true;
      return false;
    case IoOutcome::kWait:
      return false;
  }
  return false;
}

void TlsFarEnd::Reset() {
  if (fd_) {
    ResetOnClose(fd_.get());
    fd_.Reset();
  }
}

}  // namespace bt::standin
