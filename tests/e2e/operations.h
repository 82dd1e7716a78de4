// The fixture of the tests of single operations.
#pragma once

#include "tests/e2e/mounted_workspace.h"
#include "tests/e2e/tree.h"

namespace bt::e2e {

class Operations : public MountedWorkspace {
 protected:
  // Does it on the server itself and through the mount, and compares.
  void ExpectSameOnBothSides(const Operation& operation) {
    ExpectSame(server() / "direct", mount() / "mounted", server() / "mounted", operation);
  }
};

}  // namespace bt::e2e
