// Source archives (sdists), and the wheels that are built of them (builder_protocol.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancel.h"
#include "base/digest.h"
#include "rootfs/formats/interpreter.h"
#include "rootfs/net/fetch.h"
#include "rootfs/net/named_wheel.h"
#include "rootfs/requirements/lock.h"
#include "rootfs/worker_client.h"
#include "store/store.h"

namespace rundlet::rootfs {

struct SourceArchive {
  std::string name;          // normalised
  std::string version = {};  // empty: whatever it turns out to be
  Source source = {};
  std::optional<Realm> realm = {};  // of its index, and so of what is made of it

  std::string Label() const { return version.empty() ? name : name + " " + version; }
};

// Of one release in an index. Throws base::Error (kInvalid) when it has none; (kHost) for the
// network.
SourceArchive FindSource(WorkerClient& workers, const IndexAccess& index, const std::string& name,
                         const std::string& version, const NetworkSettings& network,
                         const base::CancelToken* cancel);

// The requirements of a build: from indexes only. Throws base::Error (kInvalid).
RequirementSet BuildRequirements(const std::vector<std::string>& texts);

// What a built wheel depends on: the archive, the wheels it was built with, the image's Python and
// the machine. So what a hostile build requirement makes of an archive reaches only those who
// locked that requirement.
base::Digest BuildKey(const SourceArchive& archive, const Lock& requirements,
                      const Interpreter& interpreter, const base::Digest& image,
                      const std::string& machine);

// The wheel that a build gave: under its own digest, like every other. Throws base::Error
// (kInvalid) when it is no wheel of that release.
NamedWheel KeepBuilt(store::Store& store, const SourceArchive& archive, const std::string& filename,
                     std::string_view bytes, const base::CancelToken* cancel);

}  // namespace rundlet::rootfs
