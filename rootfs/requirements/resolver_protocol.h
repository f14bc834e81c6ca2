// Resolving requirements to a lock with uv, in a sandbox of the image whose interpreter they are
// for.
//
// This module says what to run and reads what came of it; the engine runs it: the image as root,
// the uv tool's tree read-only at /env, a cache directory writable at /out, no network but the gate
// to the indexes (index_gate.h), whose addresses stand in the request. The cache belongs to one
// interpreter identity: uv keeps facts about an interpreter by its path and time stamp, which two
// images may share.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancel.h"
#include "base/error.h"
#include "rootfs/formats/interpreter.h"
#include "rootfs/program_command.h"
#include "rootfs/requirements/lock.h"
#include "rootfs/requirements/requirement_set.h"
#include "rootfs/worker_client.h"

namespace rundlet::rootfs {

struct ResolveRequest {
  RequirementSet set = {};
  // Where the wheels that requirements name themselves are inside the sandbox, by sha256.
  std::map<base::Digest, std::string> wheels = {};
  std::string python = {};  // the interpreter's path inside the image
  std::string index = {};   // URL of the index of all that no other is named for
  // Packages of the set's indexes that others bring along: uv looks for them there only when they
  // are asked for by name.
  std::set<std::string> pinned = {};
};

struct ResolveCommand : ProgramCommand {
  // Files that it reads at kResolveInside, by name.
  std::map<std::string, std::string> files;
};

constexpr const char* kResolveInside = "/rundlet/in";

// Throws base::Error (kInvalid) when an index is no plain http or https URL.
ResolveCommand MakeResolveCommand(const ResolveRequest& request);

// Which wheels a resolution may end with.
struct WheelChoice {
  std::vector<Distribution> named = {};   // by URL or as a file; known by their sha256
  std::vector<base::Digest> hashes = {};  // RequirementSet::hashes
};

// Reads uv's standard output (a pylock.toml, PEP 751) after exit code 0. The text is untrusted: it
// is parsed by a worker and every field is checked here. Throws base::Error (kInvalid) for a
// package without a wheel, without a sha256, from a path, URL or version control that is none of
// the named wheels, without one of the hashes where there are some, or whose wheel has another name
// or version.
Lock ParseLock(WorkerClient& workers, std::string_view pylock, const WheelChoice& choice,
               const base::CancelToken* cancel);
// The part after the worker: `document` is the answer of "parse-toml".
Lock ReadLockDocument(std::string_view document, const WheelChoice& choice);

// What uv warned of on its standard error, in our words: releases that were yanked.
std::vector<std::string> ReadResolveWarnings(std::string_view stderr_text);

// Of the set's pinned packages: those that a lock holds, or that uv found to be missing or in
// contradiction, without knowing that they come from an index of their own.
std::set<std::string> PinnedAmong(const RequirementSet& set, const Lock& lock);
std::set<std::string> PinnedAmong(const RequirementSet& set, std::string_view stderr_text);

// Why uv ended with another exit code, in our words, from its standard error. For whom it was is
// added by the caller.
base::Error ExplainResolveFailure(std::string_view stderr_text);

}  // namespace rundlet::rootfs
