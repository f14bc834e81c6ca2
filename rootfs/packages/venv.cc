#include "rootfs/packages/venv.h"

#include <fcntl.h>
#include <unistd.h>

#include <string_view>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"

namespace rundlet::rootfs {
namespace {

constexpr std::string_view kVenvVersion = "1";

void CheckInterpreter(const Interpreter& interpreter) {
  const std::string& path = interpreter.executable;
  const bool plain = path.starts_with('/') &&
                     base::IsPlainRelative(std::string_view(path).substr(1)) &&
                     path.find('\n') == path.npos;
  const bool tag = interpreter.tag.starts_with("3.") &&
                   interpreter.tag.find_first_not_of("0123456789", 2) == std::string::npos;
  const bool version = interpreter.version.starts_with(interpreter.tag + ".") &&
                       interpreter.version.find_first_of(" \n\r/") == std::string::npos;
  if (plain && tag && version) return;
  throw base::Error(base::Fault::kInvalid,
                    fmt::format("using interpreter `{}`", base::Printable(path)))
      .Because(fmt::format("it says that it is Python `{}`", base::Printable(interpreter.version)));
}

void Link(int dir, const std::string& target, const std::string& name) {
  if (symlinkat(target.c_str(), dir, name.c_str()) < 0)
    base::ThrowErrno("linking `{}` to `{}`", name, target);
}

void Write(int tree, const Interpreter& interpreter) {
  base::MakeDirs(tree, fmt::format("lib/python{}/site-packages", interpreter.tag));
  base::MakeDirs(tree, "bin");
  const base::UniqueFd bin = base::OpenAt(tree, "bin", O_RDONLY | O_DIRECTORY);
  Link(bin.get(), interpreter.executable, "python");
  Link(bin.get(), "python", "python3");
  Link(bin.get(), "python", "python" + interpreter.tag);
  Link(tree, "lib", "lib64");
  // As `python -m venv` writes it. `home` is where the interpreter looks for its standard library.
  const std::string home = interpreter.executable.substr(0, interpreter.executable.rfind('/'));
  const base::UniqueFd config = base::OpenAt(tree, "pyvenv.cfg", O_WRONLY | O_CREAT | O_EXCL, 0644);
  base::WriteFd(config.get(),
                fmt::format("home = {}\ninclude-system-site-packages = false\nversion = {}\n",
                            home.empty() ? "/" : home, interpreter.version),
                "pyvenv.cfg");
}

}  // namespace

std::string VenvKey(const Interpreter& interpreter) {
  base::Sha256 hash;
  hash.AddField("venv");
  hash.AddField(kVenvVersion);
  hash.AddField(interpreter.executable);
  hash.AddField(interpreter.version);
  return hash.Finish().hex();
}

std::string EnsureVenv(store::Store& store, const Interpreter& interpreter) {
  CheckInterpreter(interpreter);
  const std::string key = VenvKey(interpreter);
  if (store.Find(store::Kind::kSkeleton, key)) return key;
  const store::Lease lease = store.Make(store::Kind::kSkeleton, key, nullptr);
  if (store.Find(store::Kind::kSkeleton, key)) return key;
  store::Staging staging = store.NewStaging();
  Write(staging.tree(), interpreter);
  store::Normalise(staging.tree(), store::Links::kAny);
  const store::Manifest manifest = store::ManifestOf(staging.tree());
  store::EntryInfo info;
  info.kind = store::Kind::kSkeleton;
  info.key = key;
  info.name = fmt::format("venv of Python {} at {}", interpreter.version, interpreter.executable);
  info.meta = R"({"version":1,"skeleton":"venv"})";
  info.output = manifest.digest();
  info.bytes = manifest.bytes;
  info.files = manifest.files;
  store.Commit(std::move(staging), std::move(info));
  return key;
}

}  // namespace rundlet::rootfs
