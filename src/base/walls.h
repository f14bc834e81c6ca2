// What the engine and its workers refuse, or bound, of what comes from outside: walls that a test
// takes away one by one, to see that the attack then gets through (ADR 51). The launcher's are in
// runtime/child/defences.h.
//
// In the programs that are installed all of them stand, and nothing can change that: the question
// is answered by the compiler. Those with RUNDLET_WEAK defined are for the tests only.
#pragma once

#include <cstdint>

namespace rundlet::base {

enum class Wall : uint32_t {
  // The engine's, around a step and what rundlet itself starts of an image
  kNoLinks,         // what a user names to be mounted is no link, and not behind one
  kStreams,         // a command's standard streams are no directories
  kVariables,       // environment variables are built from nothing
  kOutDirectory,    // where a step writes its result is small
  kResultSize,      // the result is, too
  kResultDepth,     // and is not nested deeply
  kResultFile,      // and is a file of its own
  kPreview,         // and is no wider than it may be printed
  kLog,             // what a step prints is kept up to a limit
  kForeignMemory,   // an image's Python has a limit of its own
  kForeignTime,     // in time as well
  kUvCache,         // what it may leave in uv's cache has an end
  kBytecode,        // what it compiles is bytecode of the package, and nothing else
  kMounts,          // what is mounted inside of what is removed stays
  kRealms,          // what came for credentials is for those who have them
  kDocumentAnswer,  // what a worker says of an image's document is of that document
  kImportedBytes,   // an imported blob is what names it
  kLayerBytes,      // a layer is what the image's config says
  kIndexLevels,     // indexes of images are nested a few deep
  kIndexManifests,  // and name no more than so many
  kKeptBytes,       // a kept blob is what its name says
  kArrivedBytes,    // a download is compared with its lock
  kLeases,          // what is in use is not removed
  kSetBytes,        // nor is a damaged list of it believed
  kVerifiedBytes,   // what is installed is compared with what it was
  kDiskBytes,       // and with what the disk holds
  kCheckout,        // of a git repository nothing is checked out
  kGitProtocols,    // git speaks one protocol
  kCommit,          // and brings the commit that was asked for
  kStateOwner,      // the state directory is nobody else's
  // The workers'
  kWorkerMemory,    // each limits itself
  kWorkerTime,      // in processor time, too
  kInnerAddresses,  // nobody is led to one
  kAllowedHosts,    // a proxy reaches those of its sandbox
  kServerName,      // by the name that a TLS client's hello says
  kFetchedBytes,    // a download is compared where it arrives, too
  kLoginOrigin,     // credentials go to the index they are for
  kTokenOrigin,     // and not to where a server redirects
  kStaysHttps,      // which is no place without TLS, either
  kMirroredBytes,   // a file of the mirror is what its page said
  kNames,           // an archive's names do not lead upwards
  kBeneath,         // and are looked up beneath a directory, through no link
  kDocumentBytes,   // an image's document is what names it
  kRegistryBytes,   // what a registry sends is what was asked for
  kSeal,            // the gate serves what the index's pages name
  kModes,           // a layer's files have no setuid bits
  kAttributes,      // and no attributes that a kernel obeys
  kBudgets,         // there are no more than so many of anything
  kRatio,           // a layer is not many times its size
  kWheelRatio,      // nor is a wheel
  kRecord,          // a wheel's files are what its RECORD says
  kCount,
};

#ifdef RUNDLET_WEAK
bool Holds(Wall wall);
#else
constexpr bool Holds(Wall) { return true; }
#endif

}  // namespace rundlet::base
