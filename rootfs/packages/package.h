// Package directories: a distribution installed once, in the shape of a venv prefix.
//
// A package entry (Kind::kPackage) depends on the wheel's bytes, the Python tag and the layout's
// version, and on nothing an image or an index could say afterwards: its files are exactly those of
// the wheel's verified RECORD, plus the scripts the specification asks for, INSTALLER and a RECORD
// of what is there. A worker writes them; this side normalises the tree, computes its manifest and
// holds every path, size, digest and mode against the worker's list.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/digest.h"
#include "rootfs/formats/distribution.h"
#include "rootfs/worker_client.h"
#include "store/store.h"

namespace rundlet::rootfs {

// An ELF file and the libraries that it asks the loader for.
struct SharedLibrary {
  std::string path;                 // below the prefix
  std::string soname;               // empty: none
  std::vector<std::string> needed;  // sonames
};

// What a package entry's record says of it (EntryInfo::meta).
struct PackageMeta {
  std::string name;
  std::string version;
  std::string python_tag;                     // "3.11"
  std::string dist_info;                      // "six-1.17.0.dist-info"
  std::vector<std::string> top_level;         // importable names, sorted
  bool has_pth = false;                       // .pth files: the interpreter reads them at start
  std::vector<SharedLibrary> libraries = {};  // ELF files that are linked dynamically
};

struct PackageFile {
  std::string path;                    // below the prefix
  std::optional<base::Digest> sha256;  // absent for RECORD
  uint64_t size = 0;                   // 0 for RECORD
};

// The key of the package entry of a wheel.
std::string PackageKey(const Distribution& distribution, const std::string& python_tag);

// The finished tree and its record, to be committed with what is made from it (Store::CommitAll).
// The wheel entry is there. The caller holds the make lease. Throws base::Error (kInvalid) for a
// wheel that is not what it says, naming the file.
store::NewEntry PreparePackage(store::Store& store, WorkerClient& workers,
                               const Distribution& distribution, const std::string& python_tag,
                               const base::CancelToken* cancel);

// Throws base::Error (kBug) when the record is not one of ours.
PackageMeta ReadPackageMeta(const store::EntryInfo& package);

// Every file of a package, sorted by path, from the RECORD rundlet wrote. `tree` is a descriptor of
// its tree, in the store or in staging.
std::vector<PackageFile> ReadPackageFiles(int tree, const store::EntryInfo& package);

}  // namespace rundlet::rootfs
