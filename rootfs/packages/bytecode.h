// Bytecode: what an image's interpreter makes of a package directory, kept apart from it.
//
// A lower entry (Kind::kLower) holds hard links to a package entry's files plus __pycache__/*.pyc
// next to them. Its key holds the interpreter's identity, since the image's interpreter wrote the
// bytecode: it reaches only sandboxes with that very interpreter. The engine runs the compiler
// between MakeCompileCommand and PrepareLower, in a sandbox of the image with the package directory
// read-only at /env and a staging tree writable at /out. The package may itself be in staging
// still: both become entries together.
#pragma once

#include <string>
#include <string_view>

#include "base/cancel.h"
#include "rootfs/formats/interpreter.h"
#include "rootfs/packages/package.h"
#include "store/store.h"

namespace rundlet::rootfs {

std::string LowerKey(std::string_view package_key, const Interpreter& interpreter);

// After the sandbox is gone: checks that the staging tree holds nothing but bytecode of the
// package's modules with an unchecked hash, and adds hard links to the package's files. The caller
// holds the lower's make lease. `package_tree` is a descriptor. Throws base::Error (kInvalid)
// naming the first file that should not be there.
store::NewEntry PrepareLower(int package_tree, const store::EntryInfo& package,
                             const Interpreter& interpreter, store::Staging staging);

}  // namespace rundlet::rootfs
