// The proxy: ends TLS, reads the token frame, answers the status byte, then relays between the client and the sshd of
// the token's node.
//
//   handshake -> frame -> connecting -> relaying
//
// TLS runs directly on the two delay lines (a BIO of our own), so its handshake pays for its round trips like
// everything else, and no byte passes the kernel a second time on its way.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/standin/far_end.h"
#include "tests/support/standin/tls_identity.h"
#include "transport/base/unique_fd.h"

namespace bt::standin {

// How the proxy turns clients away.
enum class RefuseMode {
  kNone,
  kStatusByte,  // status byte 1
  kClose,       // ends the connection instead of a status byte
};

// Who may come in, and to where.
//
// Threading: the link loop's thread calls it.
class ProxyDoor {
 public:
  virtual ~ProxyDoor() = default;
  virtual SSL_CTX* tls_context() = 0;
  // The port of the node's sshd on the loopback, or nothing to refuse.
  virtual std::optional<std::uint16_t> Admit(std::string_view token) = 0;
  virtual RefuseMode refuse_mode() = 0;
  virtual void CountAnswer(bool accepted) = 0;
};

class TlsFarEnd final : public FarEnd {
 public:
  explicit TlsFarEnd(ProxyDoor& door);
  ~TlsFarEnd() override;

  bool Open() override;
  bool Pump(DelayLine& up, DelayLine& down, TimePoint now) override;
  bool broken() const override { return broken_; }
  int fd() const override { return fd_.get(); }
  void Reset() override;

  // For the BIO, during Pump() only.
  int BioRead(char* out, int size, bool* retry);
  int BioWrite(const char* bytes, int size);

 private:
  enum class Stage { kHandshake, kFrame, kConnecting, kRelaying, kOver };

  void ReadFrame();
  void FinishConnecting();
  void Refuse();
  bool PumpUp();
  bool PumpDown();
  // SSL_read into a buffer: bytes read, 0 for "not now"; an end or an error sets client_ended_.
  std::size_t ReadPlain(void* out, std::size_t size);
  void EndDown();

  ProxyDoor& door_;
  Ssl ssl_;
  UniqueFd fd_;
  Stage stage_ = Stage::kHandshake;
  bool broken_ = false;
  bool client_ended_ = false;
  bool shut_ = false;  // the client's end has been passed on

  // Lines and time of the Pump() that is running.
  DelayLine* up_ = nullptr;
  DelayLine* down_ = nullptr;
  TimePoint now_{};

  std::string frame_;              // length and token, while they come in
  std::vector<std::byte> to_ssh_;  // decrypted, [begin, end) not yet written
  std::size_t to_ssh_begin_ = 0;
  std::size_t to_ssh_end_ = 0;
  std::vector<std::byte> from_ssh_;  // scratch
};

}  // namespace bt::standin
