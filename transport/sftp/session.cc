#include "transport/sftp/session.h"

namespace bt::sftp {

void Session::NoteShortRead(std::size_t got) {
  const bool seen_before = last_short_read_.exchange(got) == got;
  if (seen_before && got >= ServerFeatures::kMinTransfer && got < read_piece_.load()) {
    read_piece_.store(got);
  }
}

}  // namespace bt::sftp
