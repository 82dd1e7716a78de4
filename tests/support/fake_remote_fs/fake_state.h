// What a FakeRemoteFs and its open files share, so that a file may be destroyed after its file system.
#pragma once

#include <cstddef>
#include <utility>

#include "tests/support/fake_remote_fs/fake_tree.h"
#include "tests/support/fake_remote_fs/fault_script.h"
#include "transport/base/sync.h"

namespace bt {

struct FakeState {
  FaultScript script;

  mutable Mutex mutex;
  FakeTree tree GUARDED_BY(mutex);
  RemoteCapabilities capabilities GUARDED_BY(mutex);
  FsStats stats GUARDED_BY(mutex);
  std::size_t open_files GUARDED_BY(mutex) = 0;

  // One call: asks the script, does `work(tree, call)` under the lock, asks the script again.
  template <typename Work>
  auto Do(const OpContext& ctx, FakeCall call, Work&& work) -> decltype(work(std::declval<FakeTree&>(), call)) {
    const FaultScript::Passage passage = TRY(script.Enter(ctx, call));
    if (passage.instead && call.length_done == 0) {
      return *passage.instead;
    }
    auto answer = [&] {
      const MutexLock lock(mutex);
      return work(tree, std::as_const(call));
    }();
    TRY(script.Leave(ctx, call, passage));
    if (passage.instead) {
      return *passage.instead;
    }
    return answer;
  }

  RemoteCapabilities Capabilities() const {
    const MutexLock lock(mutex);
    return capabilities;
  }
};

}  // namespace bt
