// Many package directories as one tree of hard links: what their overlay would show.
//
// An overlay takes 500 layers at most, and listing a directory over it costs time with every layer
// that has it (`importlib.metadata.entry_points()` grows as their square). So an environment of
// many packages is put together on disk, once: an entry (Kind::kEnvironment) with the directories
// of all of them and links to their files. The skeleton stays a layer of its own below it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "rootfs/packages/environment.h"
#include "store/store.h"

namespace rundlet::rootfs {

// More packages than this are put together on disk.
constexpr size_t kMostStacked = 100;

// One path of one layer.
struct LayerPath {
  std::string path;
  bool is_directory = false;
};

// Which layer, counted from the topmost, gives each path that an overlay of them shows: a
// directory's first, a file's only one. A file hides what layers below have in its place, and ends
// a directory of its name above: lower layers add nothing to that. Paths of a layer come in any
// order but a directory before what is in it.
struct FlatPath {
  size_t layer = 0;
  bool is_directory = false;
  bool operator==(const FlatPath&) const = default;
};
std::map<std::string, FlatPath> MergeLayers(const std::vector<std::vector<LayerPath>>& layers);

// The key of the entry for an environment's packages.
std::string FlatKey(const Environment& environment);

// The same environment over that entry, which is made when it is not there, and compared with what
// the layers hold. The caller holds use leases on the entry and on all layers. Throws base::Error.
Environment Flatten(store::Store& store, const Environment& environment,
                    const base::CancelToken* cancel);

// The layers that an entry was made from ("lowers/<key>/tree"), for whoever decides what is kept.
// Empty when its record is not one of ours.
std::vector<std::string> LayersOf(const store::EntryInfo& flat);

}  // namespace rundlet::rootfs
