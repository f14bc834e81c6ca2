// The sub-commands of rundlet-worker, which parse outside bytes, and of rundlet-fetcher, which
// fetch or serve them: each as an unprivileged process in a sandbox.
#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace rundlet::rootfs::worker {

// Writes a progress line to standard output (at most 20 a second an item; the rest are dropped).
void ReportProgress(uint64_t item, uint64_t done, uint64_t total);

// The job's files are descriptors 3, 4, 5, ... in the order of WorkerJob::files.
constexpr int kFirstFile = 3;

// A command takes the request and returns the answer; it throws base::Error to report one.
using CommandFunction = nlohmann::json (*)(const nlohmann::json& request);
// The most processor time of a command, far above what an honest input of the largest size takes.
// Who serves a sandbox ends with it, and has none.
constexpr std::chrono::seconds kForDocuments{300};
constexpr std::chrono::seconds kForArchives{3600};
constexpr std::chrono::seconds kForServers{0};

struct Command {
  std::string_view name;
  CommandFunction run;
  std::chrono::seconds time;
};

// Images.
nlohmann::json UnpackLayer(
    const nlohmann::json& request);  // a layer's tar stream -> the tree at /out
nlohmann::json SplitArchive(
    const nlohmann::json& request);  // an OCI or docker archive -> its members at /out
nlohmann::json ReadImage(
    const nlohmann::json& request);  // index, manifest and config documents -> what they say
nlohmann::json RegistryGet(
    const nlohmann::json& request);  // a manifest or blob of a registry -> a file or pipe
// Sandboxes.
nlohmann::json Proxy(
    const nlohmann::json& request);  // CONNECT to a few hosts, for a sandbox without other network
nlohmann::json ServeMirror(
    const nlohmann::json& request);  // the package index, read-only, for such a sandbox
nlohmann::json IndexGate(
    const nlohmann::json& request);  // package indexes, read only, for the resolver's sandbox
// Packages.
nlohmann::json InstallWheel(
    const nlohmann::json& request);                   // a wheel -> the package directory at /out
nlohmann::json Fetch(const nlohmann::json& request);  // URLs -> files
nlohmann::json FindInIndex(
    const nlohmann::json& request);  // a project's index page -> the URL of a file by hash
nlohmann::json ListLibraries(
    const nlohmann::json& request);  // the shared libraries of the image at /image
nlohmann::json ParseToml(const nlohmann::json& request);  // TOML text -> JSON with lines

}  // namespace rundlet::rootfs::worker
