// rundlet's own Python modules (the SDK, the reader, the runner) beside the bytecode that an
// image's interpreter makes of them. Without it every step, and every reading of a project,
// compiles them.
//
// An entry (Kind::kTool) for each interpreter, as the bytecode of packages is: who made it reaches
// only sandboxes with that very interpreter. The engine runs the compiler between
// WriteOwnModules and CommitOwnModules.
#pragma once

#include <map>
#include <string>

#include "rootfs/formats/interpreter.h"
#include "store/staging.h"
#include "store/store.h"

namespace rundlet::rootfs {

using OwnModules = std::map<std::string, std::string>;  // path, text

// The modules below the folder that rundlet was installed with.
OwnModules ReadOwnModules(int folder);

std::string OwnModulesKey(const OwnModules& modules, const Interpreter& interpreter);

// Writes them to the tree of an empty staging directory.
void WriteOwnModules(const OwnModules& modules, int tree);

// After the sandbox is gone: checks that it wrote nothing but their bytecode, adds the modules and
// commits. The caller holds the entry's make lease.
void CommitOwnModules(store::Store& store, const OwnModules& modules,
                      const Interpreter& interpreter, store::Staging staging);

}  // namespace rundlet::rootfs
