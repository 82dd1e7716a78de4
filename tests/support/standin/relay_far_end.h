// A far end that passes bytes on to a socket as they are: the plain ports (to a sshd) and the API (to its server).
#pragma once

#include <functional>

#include "tests/support/standin/far_end.h"
#include "transport/base/unique_fd.h"

namespace bt::standin {

class RelayFarEnd final : public FarEnd {
 public:
  // `connect` gives the non-blocking socket to the server, or none to have the client cut off.
  explicit RelayFarEnd(std::function<UniqueFd()> connect);

  bool Open() override;
  bool Pump(DelayLine& up, DelayLine& down, TimePoint now) override;
  bool broken() const override { return broken_; }
  int fd() const override { return fd_.get(); }
  void Reset() override;

 private:
  const std::function<UniqueFd()> connect_;
  UniqueFd fd_;
  bool broken_ = false;
  bool shut_ = false;  // the client's end has been passed on
};

}  // namespace bt::standin
