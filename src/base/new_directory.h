// A directory beside which nothing half-made is seen: it is filled under another name and gets its
// own when it is whole.
#pragma once

#include <string>

#include "base/fd.h"

namespace rundlet::rootfs {

// The other name is `.NAME.rundlet-export`, in the same place. One that a killed process left is
// removed first, and one that is in use refused. Removed on destruction unless finished. All
// functions throw base::Error; kInvalid when something has the name already.
class NewDirectory {
 public:
  // `parent` was opened by whoever asked, with their rights.
  NewDirectory(base::UniqueFd parent, std::string name);
  ~NewDirectory();
  NewDirectory(const NewDirectory&) = delete;
  NewDirectory& operator=(const NewDirectory&) = delete;

  int fd() const { return dir_.get(); }
  // It survives a power cut then.
  void Finish();

 private:
  const base::UniqueFd parent_;
  const std::string name_;
  const std::string temporary_;
  base::UniqueFd dir_;  // under a lock (flock)
};

}  // namespace rundlet::rootfs
