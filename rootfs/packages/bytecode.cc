#include "rootfs/packages/bytecode.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <set>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "base/walls.h"
#include "rootfs/packages/bytecode_program.h"
#include "rootfs/packages/package.h"
#include "rootfs/packages/package_manifest.h"

namespace rundlet::rootfs {
namespace {

constexpr std::string_view kBytecodeVersion = "1";
constexpr std::string_view kCache = "__pycache__";

std::string_view ParentOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == path.npos ? std::string_view() : path.substr(0, slash);
}

std::string_view NameOf(std::string_view path) { return path.substr(path.rfind('/') + 1); }

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

void LinkPackage(int package_tree, int tree, const std::vector<PackageFile>& files) {
  std::string folder;
  base::UniqueFd from;
  base::UniqueFd to;
  for (const PackageFile& file : files) {
    const std::string parent(ParentOf(file.path));
    if (!from.valid() || parent != folder) {
      folder = parent;
      if (!folder.empty()) base::MakeDirs(tree, folder);
      const std::string here = folder.empty() ? "." : folder;
      from = base::OpenAt(package_tree, here, O_PATH | O_DIRECTORY);
      to = base::OpenAt(tree, here, O_PATH | O_DIRECTORY);
    }
    const std::string name(NameOf(file.path));
    if (linkat(from.get(), name.c_str(), to.get(), name.c_str(), 0) < 0)
      base::ThrowErrno("linking `{}`", file.path);
  }
}

}  // namespace

void CheckBytecode(int tree, const std::vector<PackageFile>& files, const std::string& cache_tag) {
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

std::string LowerKey(std::string_view package_key, const Interpreter& interpreter) {
  base::Sha256 hash;
  hash.AddField("lower");
  hash.AddField(kBytecodeVersion);
  hash.AddField(package_key);
  hash.AddField(interpreter.identity.hex());
  return hash.Finish().hex();
}

CompileCommand MakeCompileCommand(const std::string& package_tree, const Interpreter& interpreter,
                                  const store::Staging& staging) {
  if (fchmod(staging.tree(), 0777) < 0)
    base::ThrowErrno("opening a staging directory to its sandbox");
  const std::string site = fmt::format("/lib/python{}/site-packages", interpreter.tag);
  CompileCommand command;
  command.mounts = {{"/env", runtime::StorePath{package_tree, false, false}},
                    {"/out", runtime::StorePath{staging.tree_path(), true, true}}};
  command.argv = {interpreter.executable, "-I",          "-S",         "-",
                  "/env" + site,          "/out" + site, "/env" + site};
  command.input = kCompileProgram;
  return command;
}

store::NewEntry PrepareLower(int package_tree, const store::EntryInfo& package,
                             const Interpreter& interpreter, store::Staging staging) {
  // Before anything else: from here on only we can write there.
  store::Normalise(staging.tree());
  const std::vector<PackageFile> files = ReadPackageFiles(package_tree, package);
  CheckBytecode(staging.tree(), files, CacheTag(interpreter));
  LinkPackage(package_tree, staging.tree(), files);
  store::Normalise(staging.tree());
  const store::Manifest manifest = store::ManifestOf(staging.tree());
  store::EntryInfo info;
  info.kind = store::Kind::kLower;
  info.key = LowerKey(package.key, interpreter);
  info.name = fmt::format("{} for Python {}", package.name, interpreter.version);
  info.meta = package.meta;
  info.output = manifest.digest();
  info.bytes = manifest.bytes;
  info.files = manifest.files;
  return {std::move(staging), std::move(info)};
}

std::string CacheTag(const Interpreter& interpreter) {
  const bool cpython = interpreter.abi.starts_with("cp");
  return (cpython ? "cpython-" : "") + interpreter.abi.substr(cpython ? 2 : 0);
}

}  // namespace rundlet::rootfs
