// `rundlet shell`: a command at a terminal of the sandbox's own, relayed to the user's.
#pragma once

#include <string>

#include "base/cancel.h"
#include "engine/command/command.h"
#include "engine/command/exec.h"
#include "engine/core/engine.h"
#include "engine/core/events.h"
#include "runtime/spec/sandbox_spec.h"

namespace rundlet::engine {

// The terminal somebody sits at. The sandbox never gets it: bytes are carried to and fro.
class UserTerminal {
 public:
  virtual ~UserTerminal() = default;
  virtual int descriptor() const = 0;  // read and written; not blocking
  virtual int resized() const = 0;     // readable when Size may have changed
  virtual runtime::TerminalSize Size() = 0;
  virtual std::string Type() const = 0;  // TERM
  // From now on it passes every key on as it is.
  virtual void MakeRaw() = 0;
};

// bash, or sh where there is none.
std::vector<std::string> ShellCommand();

// As Exec, but for the streams. Whoever asks rundlet to end hangs the command's terminal up.
// So does the end of the user's terminal.
ExecOutcome RunAtTerminal(Engine& engine, Command command, UserTerminal& terminal,
                          const base::CancelToken* cancel, int interrupt);

}  // namespace rundlet::engine
