#include "rootfs/image_identity.h"

#include <nlohmann/json.hpp>
#include <utility>
#include <variant>

#include "rootfs/image_fields.h"

namespace rundlet::rootfs {

using nlohmann::json;

base::Digest HashInterpreter(WorkerClient& worker, const Image& image,
                             const std::string& executable,
                             const std::optional<std::string>& libpython, const std::string& stdlib,
                             const base::CancelToken* cancel) {
  // The image's stack of layers, as in a sandbox, but for the skeleton on top: it is not the
  // image's.
  const std::vector<runtime::Mount> mounts =
      ImageMounts(image, base::Digest().hex(), runtime::ProcView::kOwnProcesses);
  runtime::Layers layers = std::get<runtime::Layers>(mounts.front().source);
  layers.paths.erase(layers.paths.begin());
  layers.writable = false;

  WorkerJob job;
  job.command = "hash-tree";
  json request = {{"executable", executable}, {"libpython", nullptr}, {"stdlib", stdlib}};
  if (libpython) request["libpython"] = *libpython;
  job.request = request.dump();
  job.mounts = {{"/image", std::move(layers)}};
  const DocumentOrigin origin{"reading a worker's answer on an interpreter", base::Fault::kBug};
  const json answer = ParseJson(worker.Run(
                                    job, [](const WorkerProgress&) {}, cancel),
                                origin);
  return Fields(answer, origin).DigestAt("identity");
}

}  // namespace rundlet::rootfs
