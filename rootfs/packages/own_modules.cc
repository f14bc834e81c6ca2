#include "rootfs/packages/own_modules.h"

#include <dirent.h>
#include <fcntl.h>

#include <utility>

#include "base/digest.h"
#include "base/error.h"
#include "base/fs.h"
#include "rootfs/packages/compiler_protocol.h"
#include "rootfs/packages/package.h"
#include "store/manifest.h"
#include "store/normalise.h"

namespace rundlet::rootfs {
namespace {

constexpr size_t kModuleLimit = 4 << 20;

void ReadModules(int folder, const std::string& prefix, OwnModules& modules) {
  for (const base::DirEntry& entry : base::ListDir(folder)) {
    if (entry.type == DT_DIR && entry.name != "__pycache__") {
      const base::UniqueFd inner = base::OpenAt(folder, entry.name, O_RDONLY | O_DIRECTORY);
      ReadModules(inner.get(), prefix + entry.name + "/", modules);
    } else if (entry.type == DT_REG && entry.name.ends_with(".py")) {
      modules.emplace(prefix + entry.name, base::ReadAt(folder, entry.name, kModuleLimit));
    }
  }
}

}  // namespace

OwnModules ReadOwnModules(int folder) {
  OwnModules modules;
  ReadModules(folder, "", modules);
  return modules;
}

std::string OwnModulesKey(const OwnModules& modules, const Interpreter& interpreter) {
  base::Sha256 hash;
  hash.AddField("own modules 1");
  hash.AddField(interpreter.identity.hex());
  for (const auto& [path, text] : modules) {
    hash.AddField(path);
    hash.AddField(text);
  }
  return hash.Finish().hex();
}

void WriteOwnModules(const OwnModules& modules, int tree) {
  for (const auto& [path, text] : modules) {
    const size_t slash = path.rfind('/');
    if (slash != path.npos) base::MakeDirs(tree, path.substr(0, slash));
    base::ReplaceAt(tree, path, text, 0444, base::Durability::kNone);
  }
  store::Normalise(tree);
}

void CommitOwnModules(store::Store& store, const OwnModules& modules,
                      const Interpreter& interpreter, store::Staging staging) {
  // Before anything else: from here on only we can write there.
  store::Normalise(staging.tree());
  std::vector<PackageFile> files;
  for (const auto& [path, text] : modules)
    files.push_back({path, base::Digest::Of(text), text.size()});
  CheckBytecode(staging.tree(), files, interpreter);
  WriteOwnModules(modules, staging.tree());
  const store::Manifest manifest = store::ManifestOf(staging.tree());
  store::EntryInfo info;
  info.kind = store::Kind::kTool;
  info.key = OwnModulesKey(modules, interpreter);
  info.name = "rundlet's modules for Python " + interpreter.version;
  info.meta = R"({"version":1})";
  info.output = manifest.digest();
  info.bytes = manifest.bytes;
  info.files = manifest.files;
  store.Commit(std::move(staging), std::move(info));
}

}  // namespace rundlet::rootfs
