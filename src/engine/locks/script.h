// A Python script of the host, which may say what it needs (PEP 723).
#pragma once

#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/fd.h"
#include "engine/core/engine.h"
#include "rootfs/images/image.h"
#include "rootfs/requirements/project_documents.h"

namespace rundlet::engine {

// Opened by its user with their own rights.
struct Script {
  std::string name;  // of the file, without folders
  base::UniqueFd file;
};

// What its metadata says; nothing for a script without. Throws base::Error (kInvalid), Cancelled.
rootfs::ScriptMetadata ReadScript(Engine& engine, const Script& script,
                                  const base::CancelToken* cancel);

// Throws base::Error (kInvalid) unless the image's Python is one that the script can do with.
void CheckPython(const Script& script, const rootfs::ScriptMetadata& metadata,
                 const rootfs::Image& image);

}  // namespace rundlet::engine
