#include "cli/terminal/output.h"

#include <cerrno>
#include <cstdio>

namespace rundlet::cli {

base::Error LostOutput(int error_number) {
  return base::Error(base::Fault::kHost, "writing to standard output")
      .Because(base::ErrnoText(error_number));
}

void FlushOutput() {
  if (std::fflush(stdout) != 0) throw LostOutput(errno);
  // Of what was flushed before, the reason is forgotten.
  if (std::ferror(stdout) != 0) throw LostOutput(EIO);
}

}  // namespace rundlet::cli
