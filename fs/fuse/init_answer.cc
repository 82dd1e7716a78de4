#include "fs/fuse/init_answer.h"

#ifdef __linux__
#include <linux/fuse.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstddef>

#include "fs/fuse/call.h"

namespace bt::fuse {
namespace {

ssize_t Write(int device, iovec* parts, int count, void* user_data) {
  auto& due = static_cast<Border*>(user_data)->init_answer_due;
  if (due.load(std::memory_order_relaxed)) {
    due = false;
    // libfuse sends the header (fuse_out_header) and the answer as two parts.
    constexpr std::size_t kNeeded = offsetof(fuse_init_out, flags) + sizeof(fuse_init_out::flags);
    if (count == 2 && parts[1].iov_len >= kNeeded) {
      static_cast<fuse_init_out*>(parts[1].iov_base)->flags |= FUSE_PARALLEL_DIROPS;
    }
  }
  return ::writev(device, parts, count);
}

ssize_t Read(int device, void* bytes, std::size_t size, void* /*user_data*/) { return ::read(device, bytes, size); }

}  // namespace

Status AllowParallelLookups(fuse_session* session) {
  const fuse_custom_io io{.writev = Write, .read = Read, .splice_receive = nullptr, .splice_send = nullptr};
  const int problem = fuse_session_custom_io(session, &io, fuse_session_fd(session));
  if (problem != 0) {
    return Error{Code::kInternal, "watching /dev/fuse: " + SystemText(-problem), "mount.io"};
  }
  return {};
}

}  // namespace bt::fuse

#else

namespace bt::fuse {

// Other kernels have no such flag.
Status AllowParallelLookups(fuse_session* /*session*/) { return {}; }

}  // namespace bt::fuse

#endif
