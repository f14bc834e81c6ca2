// What the compiler of Python modules is told, and what it may have written.
// engine/packages/compiler runs it: an image's own interpreter, in a sandbox of the image.
//
// Standard output is not read, standard error is only for a log. An exit code that is not 0 means
// that bytecode is missing, which is no reason to refuse the modules.
#pragma once

#include <string>
#include <vector>

#include "rootfs/formats/interpreter.h"
#include "rootfs/packages/package.h"
#include "rootfs/program_command.h"
#include "store/staging.h"

namespace rundlet::rootfs {

inline constexpr const char* kModulesInside = "/rundlet/python";  // rundlet's own, in every sandbox

// Bytecode of a package directory, whose path is relative to the state directory, into the tree of
// the empty `staging`, which is opened to the sandbox's ids (mode 0777; no other process can reach
// a staging directory).
ProgramCommand MakeCompileCommand(const std::string& package_tree, const Interpreter& interpreter,
                                  const store::Staging& staging);

// The same for rundlet's own modules, which stand in the tree of `sources`.
ProgramCommand MakeOwnCompileCommand(const store::Staging& sources, const Interpreter& interpreter,
                                     const store::Staging& staging);

// Checks that a tree holds nothing but bytecode of these modules with an unchecked hash. Throws
// base::Error (kInvalid) naming the first file that should not be there.
void CheckBytecode(int tree, const std::vector<PackageFile>& files, const Interpreter& interpreter);

}  // namespace rundlet::rootfs
