#include "rootfs/image_identity.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "rootfs/image_fields.h"

namespace rundlet::rootfs {

using nlohmann::json;

base::Digest HashInterpreter(WorkerClient& worker, const Image& image,
                             const std::string& executable,
                             const std::optional<std::string>& libpython, const std::string& stdlib,
                             const base::CancelToken* cancel) {
  WorkerJob job;
  job.command = "hash-tree";
  json request = {{"executable", executable}, {"libpython", nullptr}, {"stdlib", stdlib}};
  if (libpython) request["libpython"] = *libpython;
  job.request = request.dump();
  job.mounts = {BareImageMount(image)};
  const DocumentOrigin origin = AnswerOf(job.command);
  const json answer = ParseJson(worker.Run(
                                    job, [](const WorkerProgress&) {}, cancel),
                                origin);
  return Fields(answer, origin).DigestAt("identity");
}

}  // namespace rundlet::rootfs
