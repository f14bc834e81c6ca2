// The state directory: where everything is kept, and whom it must belong to.
#pragma once

#include <string>

#include "base/fd.h"

namespace rundlet::store {

// Opens a state directory, made when it is absent or empty (0700). All checks are made on the open
// directory, so it cannot be swapped between check and use. Throws Error for one that is a link,
// does not belong to the effective user, may be written by others (or, as root, entered by others),
// holds something else, or has another format.
base::UniqueFd OpenStateDir(const std::string& path);

}  // namespace rundlet::store
