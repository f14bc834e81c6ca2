#include "rootfs/packages/compiler_protocol.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <set>
#include <string_view>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "base/walls.h"
#include "rootfs/packages/bytecode_program.h"
#include "rootfs/packages/package_manifest.h"

namespace rundlet::rootfs {
namespace {

constexpr std::string_view kCache = "__pycache__";

std::string_view ParentOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == path.npos ? std::string_view() : path.substr(0, slash);
}

std::string_view NameOf(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// "cpython-311" of an interpreter whose ABI is "cp311": the middle of a .pyc file's name.
std::string CacheTag(const Interpreter& interpreter) {
  const bool cpython = interpreter.abi.starts_with("cp");
  return (cpython ? "cpython-" : "") + interpreter.abi.substr(cpython ? 2 : 0);
}

// "lib/x/__pycache__/m.cpython-311.pyc" -> "lib/x/m.py"; empty when it is no such path.
std::string ModuleOf(std::string_view path, std::string_view cache_tag) {
  const std::string suffix = fmt::format(".{}.pyc", cache_tag);
  const std::string_view folder = ParentOf(path);
  const std::string_view name = NameOf(path);
  if (NameOf(folder) != kCache || name.size() <= suffix.size() || !name.ends_with(suffix))
    return {};
  const std::string_view parent = ParentOf(folder);
  return fmt::format("{}/{}.py", parent, name.substr(0, name.size() - suffix.size()));
}

[[noreturn]] void RefuseBytecode(std::string_view path, std::string cause) {
  throw base::Error(base::Fault::kInvalid,
                    fmt::format("checking bytecode `{}`", base::Printable(path)))
      .Because(std::move(cause));
}

// PEP 552: flags 0b01 are "hash-based, not checked against the source".
void CheckHeader(int tree, const std::string& path) {
  std::array<unsigned char, 16> header{};
  const base::UniqueFd file = base::OpenAt(tree, path, O_RDONLY);
  if (pread(file.get(), header.data(), header.size(), 0) != static_cast<ssize_t>(header.size()) ||
      header[4] != 1 || header[5] != 0 || header[6] != 0 || header[7] != 0) {
    RefuseBytecode(path, "it is not bytecode with an unchecked hash");
  }
}

// `modules` is a folder of what is mounted at `inside`.
ProgramCommand CompileCommand(const std::string& tree, const std::string& inside,
                              const std::string& modules, const Interpreter& interpreter,
                              const store::Staging& staging) {
  if (fchmod(staging.tree(), 0777) < 0)
    base::ThrowErrno("opening a staging directory to its sandbox");
  return {.argv = {interpreter.executable, "-I", "-S", "-", inside + modules, "/out" + modules,
                   inside + modules},
          .input = std::string(kCompileProgram),
          .mounts = {{inside, runtime::StorePath{tree}},
                     {"/out", runtime::StorePath{staging.tree_path(), true, true}}}};
}

}  // namespace

ProgramCommand MakeCompileCommand(const std::string& package_tree, const Interpreter& interpreter,
                                  const store::Staging& staging) {
  const std::string site = fmt::format("/lib/python{}/site-packages", interpreter.tag);
  return CompileCommand(package_tree, "/env", site, interpreter, staging);
}

ProgramCommand MakeOwnCompileCommand(const store::Staging& sources, const Interpreter& interpreter,
                                     const store::Staging& staging) {
  return CompileCommand(sources.tree_path(), kModulesInside, "", interpreter, staging);
}

void CheckBytecode(int tree, const std::vector<PackageFile>& files,
                   const Interpreter& interpreter) {
  const std::string cache_tag = CacheTag(interpreter);
  std::set<std::string_view> sources;
  for (const PackageFile& file : files) sources.insert(file.path);
  for (const auto& [path, file] : FilesOf(store::ManifestOf(tree))) {
    const std::string module = ModuleOf(path, cache_tag);
    const bool asked = !module.empty() && sources.contains(module);
    if (!asked && base::Holds(base::Wall::kBytecode))
      RefuseBytecode(path, "the image's interpreter wrote it unasked");
    if (asked) CheckHeader(tree, path);
  }
}

}  // namespace rundlet::rootfs
