// Making a tree of ours the same whoever made it and whenever, and read-only for good.
#pragma once

namespace rundlet::store {

enum class Links {
  kInside,  // symbolic links lead to places within the tree, whatever its other links are
  kAny,     // the tree's maker chose them (a skeleton's link to the image's interpreter)
};

// Owner root (the effective user), directories 0755, files 0444 or 0555, times 1 (1980 would do;
// fixed so that outputs repeat); extended attributes dropped, but for labels the host's security
// policy sets. What is so already is not touched: the files may be hard links to those of other
// entries.
// Refuses, with an Error (kInvalid) that names the path: devices, sockets, fifos, links that lead
// outside unless allowed, and overlayfs marks that make files of other layers disappear (opaque,
// redirect, metacopy, whiteout). After an exception the tree is half done: drop it.
// For packages; image layers keep their owners and modes.
void Normalise(int tree, Links links = Links::kInside);

}  // namespace rundlet::store
