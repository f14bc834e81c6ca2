#include "engine/locks/script.h"

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "engine/core/toml.h"

namespace rundlet::engine {
namespace {

constexpr size_t kScriptLimit = 16 << 20;

}  // namespace

rootfs::ScriptMetadata ReadScript(Engine& engine, const Script& script,
                                  const base::CancelToken* cancel) {
  try {
    const std::string text =
        base::ReadFd(script.file.get(), kScriptLimit, fmt::format("`{}`", script.name));
    const auto toml = rootfs::FindScriptMetadata(text);
    if (!toml.has_value()) return {};
    return rootfs::ReadScriptMetadata(ParseToml(engine, *toml, cancel));
  } catch (base::Error& error) {
    if (error.fault() == base::Fault::kInvalid)
      error.While(fmt::format("reading script `{}`", base::Printable(script.name)));
    throw;
  }
}

void CheckPython(const Script& script, const rootfs::ScriptMetadata& metadata,
                 const rootfs::Image& image) {
  if (rootfs::PythonIsWithin(image.interpreter.version, metadata.requires_python)) return;
  throw base::Error(base::Fault::kInvalid,
                    fmt::format("running script `{}`", base::Printable(script.name)))
      .Because(fmt::format("it wants Python {}, and image `{}` has {}",
                           base::Printable(metadata.requires_python), image.name,
                           image.interpreter.version))
      .Hint("name another image with --image");
}

}  // namespace rundlet::engine
