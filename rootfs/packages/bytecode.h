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
#include <vector>

#include "base/cancel.h"
#include "rootfs/formats/interpreter.h"
#include "rootfs/packages/package.h"
#include "runtime/spec/mount_plan.h"
#include "store/store.h"

namespace rundlet::rootfs {

std::string LowerKey(std::string_view package_key, const Interpreter& interpreter);

// What to run: no network, no capabilities; standard output is not read, standard error is only for
// a log. The exit code is 0 when all was done; another one means that bytecode is missing, which is
// no reason to refuse the package.
struct CompileCommand {
  std::vector<runtime::Mount> mounts;  // beyond the image's own
  std::vector<std::string> argv;
  std::string input;  // standard input: the program
};

// `package_tree` is where the package is, relative to the state directory; `staging` an empty one
// that becomes the lower. Opens the staging tree to the sandbox's ids (mode 0777; nobody else can
// reach a staging directory).
CompileCommand MakeCompileCommand(const std::string& package_tree, const Interpreter& interpreter,
                                  const store::Staging& staging);

// After the sandbox is gone: checks that the staging tree holds nothing but bytecode of the
// package's modules with an unchecked hash, and adds hard links to the package's files. The caller
// holds the lower's make lease. `package_tree` is a descriptor. Throws base::Error (kInvalid)
// naming the first file that should not be there.
store::NewEntry PrepareLower(int package_tree, const store::EntryInfo& package,
                             const Interpreter& interpreter, store::Staging staging);

// Checks that a tree holds nothing but bytecode of these modules with an unchecked hash. Throws
// base::Error (kInvalid) naming the first file that should not be there.
void CheckBytecode(int tree, const std::vector<PackageFile>& files, const std::string& cache_tag);

// "cpython-311" of an interpreter whose ABI is "cp311": the middle of a .pyc file's name.
std::string CacheTag(const Interpreter& interpreter);

}  // namespace rundlet::rootfs
