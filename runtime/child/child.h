// The stages between clone and the start of the program, in the sandbox's first process.
#pragma once

#include "runtime/child/prepared.h"

namespace rundlet::runtime {

// Never returns: becomes the sandbox's init, or reports a Failure on the status pipe and exits.
[[noreturn]] void RunChild(Prepared& prepared);

// The parts, in the order in which they run. Each reports its own failure and exits.
void MountTree(Prepared& prepared);                // child/mounts.cc
void OpenTerminal(Prepared& prepared);             // child/terminal.cc
void RestrictWrites(Prepared& prepared);           // child/landlock.cc
void Confine(Prepared& prepared);                  // child/privileges.cc
void GiveUpPrivileges(Prepared& prepared);         // child/privileges.cc
void ControlTerminal(Prepared& prepared);          // child/terminal.cc
[[noreturn]] void RunProgram(Prepared& prepared);  // child/program.cc

[[noreturn]] void Fail(const Prepared& prepared, Stage stage, int error_number, uint32_t index = 0);
void Reach(Prepared& prepared, Stage stage);

}  // namespace rundlet::runtime
