#pragma once

#include <memory>

#include "tests/contract/backend.h"

namespace bt::contract {

// `bare`: with no extension switched on.
std::unique_ptr<Backend> MakeFakeBackend(bool bare);

}  // namespace bt::contract
