// The terminal that `rundlet shell` is started at.
#pragma once

#include <sys/types.h>
#include <termios.h>

#include <string>

#include "base/fd.h"
#include "engine/command/shell.h"

namespace rundlet::cli {

// Its settings are put back when this, or the whole process, is gone, whatever the reason: by a
// small process beside it, which a kill -9 does not reach. To be made before any thread is.
class Terminal : public engine::UserTerminal {
 public:
  // Throws base::Error (kInvalid) when standard input and output are no terminal.
  Terminal();
  ~Terminal() override;
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  int descriptor() const override { return terminal_.get(); }
  int resized() const override { return resized_.get(); }
  runtime::TerminalSize Size() override;
  std::string Type() const override;
  void MakeRaw() override;

 private:
  termios settings_{};     // as they were
  base::UniqueFd keeper_;  // while it is open, the settings are ours to change
  pid_t keeper_process_ = -1;
  base::UniqueFd terminal_;  // a description of its own: the caller's stays blocking
  base::UniqueFd resized_;   // a signalfd
};

}  // namespace rundlet::cli
