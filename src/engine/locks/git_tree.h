// The files of a commit, for building a wheel of them.
#pragma once

#include <string>

#include "base/cancel.h"
#include "engine/core/engine.h"
#include "rootfs/formats/distribution.h"
#include "rootfs/requirements/requirement.h"
#include "store/staging.h"

namespace rundlet::engine {

struct GitTree {
  rootfs::Source source;  // with the commit that the revision was
  store::Staging files;   // its tree holds the one archive
};

// Fetches one commit, without its history, with the host's `git`: in a sandbox with nothing of the
// host but its programs, which reaches the repository's host by TLS and no other, presents no
// credentials and runs nothing of the repository. What git makes of the commit's tree is one tar
// archive. `name` is for messages. Throws base::Error (kHost: network, or no git; kInvalid: no such
// revision), Cancelled.
GitTree FetchGitTree(Engine& engine, const rootfs::GitRevision& wanted, const std::string& name,
                     const base::CancelToken* cancel);

}  // namespace rundlet::engine
