#include "rootfs/packages/bytecode.h"

#include <fcntl.h>
#include <unistd.h>

#include <vector>

#include "base/error.h"
#include "base/fs.h"
#include "rootfs/packages/compiler_protocol.h"
#include "rootfs/packages/package.h"
#include "rootfs/packages/package_manifest.h"

namespace rundlet::rootfs {
namespace {

constexpr std::string_view kBytecodeVersion = "1";

void LinkPackage(int package_tree, int tree, const std::vector<PackageFile>& files) {
  std::string folder;
  base::UniqueFd from;
  base::UniqueFd to;
  for (const PackageFile& file : files) {
    const size_t slash = file.path.rfind('/');
    const std::string parent = slash == std::string::npos ? "" : file.path.substr(0, slash);
    if (!from.valid() || parent != folder) {
      folder = parent;
      if (!folder.empty()) base::MakeDirs(tree, folder);
      const std::string here = folder.empty() ? "." : folder;
      from = base::OpenAt(package_tree, here, O_PATH | O_DIRECTORY);
      to = base::OpenAt(tree, here, O_PATH | O_DIRECTORY);
    }
    const std::string name = file.path.substr(slash + 1);
    if (linkat(from.get(), name.c_str(), to.get(), name.c_str(), 0) < 0)
      base::ThrowErrno("linking `{}`", file.path);
  }
}

}  // namespace

std::string LowerKey(std::string_view package_key, const Interpreter& interpreter) {
  base::Sha256 hash;
  hash.AddField("lower");
  hash.AddField(kBytecodeVersion);
  hash.AddField(package_key);
  hash.AddField(interpreter.identity.hex());
  return hash.Finish().hex();
}

store::NewEntry PrepareLower(int package_tree, const store::EntryInfo& package,
                             const Interpreter& interpreter, store::Staging staging) {
  // Before anything else: from here on only we can write there.
  store::Normalise(staging.tree());
  const std::vector<PackageFile> files = ReadPackageFiles(package_tree, package);
  CheckBytecode(staging.tree(), files, interpreter);
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

}  // namespace rundlet::rootfs
