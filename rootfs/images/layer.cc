#include "rootfs/images/layer.h"

#include <fcntl.h>
#include <sys/xattr.h>

#include <climits>
#include <exception>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>
#include <vector>

#include "base/cancel_relay.h"
#include "base/error.h"
#include "base/fs.h"
#include "base/json/fields.h"
#include "base/text.h"
#include "base/walls.h"
#include "rootfs/formats/layer_path.h"

namespace rundlet::rootfs {
namespace {

using nlohmann::json;
using store::Kind;

constexpr size_t kOpaqueLimit = 1'500'000;
constexpr int kPipeBytes = 1 << 20;

// What a worker says about a layer it unpacked.
struct LayerAnswer {
  std::optional<base::Digest> blob;  // of a file's bytes
  base::Digest diff_id;
  std::string compression;
  std::vector<std::string> opaque;
};

LayerAnswer ReadLayerAnswer(const std::string& text) {
  const base::DocumentOrigin origin = base::AnswerOf("unpack-layer");
  const json value = base::ParseJson(text, origin);
  const base::Fields fields(value, origin);
  LayerAnswer answer{std::nullopt, fields.DigestAt("diff_id"), fields.Text("compression"), {}};
  if (!fields.TextOrEmpty("blob").empty()) answer.blob = fields.DigestAt("blob");
  for (const json& element : fields.List("opaque", kOpaqueLimit)) {
    const auto path = DecodePath(TextOf(element, origin, size_t{3} * PATH_MAX));
    if (!path || (*path != "." && !base::IsPlainRelative(*path))) {
      throw fields.Refuse("a directory's name is not beneath the layer");
    }
    answer.opaque.push_back(*path);
  }
  return answer;
}

void Compare(const LayerAnswer& answer, const LayerSource& source) {
  const auto refuse = [](std::string why) {
    return base::Error(base::Fault::kInvalid, "checking the layer").Because(std::move(why));
  };
  // Whoever streams it compares its digest.
  if (!source.stream && source.blob_digest && answer.blob != source.blob_digest &&
      base::Holds(base::Wall::kImportedBytes)) {
    throw refuse(fmt::format("it was altered: its digest is `sha256:{}`, not `sha256:{}`",
                             answer.blob.value_or(base::Digest()).hex(),
                             source.blob_digest->hex()));
  }
  if (answer.diff_id != source.diff_id && base::Holds(base::Wall::kLayerBytes)) {
    throw refuse(fmt::format("its content is not what the image's config says: `sha256:{}`",
                             answer.diff_id.hex()));
  }
  if (!source.compression.empty() && answer.compression != source.compression) {
    throw refuse(fmt::format("its media type says compression `{}`, it has `{}`",
                             source.compression, base::Printable(answer.compression)));
  }
}

// Only the initial user namespace can set it, so the worker could not. A root that hides what is
// below means nothing to overlayfs; whoever stacks the layers leaves the lower ones out.
void MarkOpaque(int tree, const std::vector<std::string>& directories) {
  for (const std::string& path : directories) {
    const base::UniqueFd dir = base::OpenAt(tree, path, O_RDONLY | O_DIRECTORY);
    if (fsetxattr(dir.get(), "trusted.overlay.opaque", "y", 1, 0) < 0) {
      base::ThrowErrno("marking `{}` opaque", base::Printable(path));
    }
  }
}

// The job with the blob behind it, fetched into a pipe while the worker unpacks.
std::string RunOnStream(WorkerClient& worker, WorkerJob job, const LayerSource& source,
                        const ProgressCallback& report, const base::CancelToken* cancel) {
  base::Pipe pipe = base::MakePipe();
  // A hint: the pipe works with less, too.
  fcntl(pipe.write.get(), F_SETPIPE_SZ, kPipeBytes);
  std::exception_ptr fetching;
  std::exception_ptr unpacking;
  base::CancelToken stop;
  bool gave_up = false;
  std::string answer;
  {
    const base::CancelRelay relay(cancel, stop);
    const std::jthread fetcher([&] {
      try {
        source.stream(pipe.write.get(), report, &stop);
      } catch (...) {
        fetching = std::current_exception();
      }
      pipe.write.reset();
    });
    job.files.front() = pipe.read.get();
    try {
      answer = worker.Run(
          job, [](const WorkerProgress&) {}, cancel);
    } catch (const base::Error& error) {
      unpacking = std::current_exception();
      gave_up = error.fault() != base::Fault::kInvalid;
      // A full disk, say: whatever the rest of the bytes is, it is not wanted any more.
      if (gave_up) stop.Cancel();
    } catch (...) {
      unpacking = std::current_exception();
      gave_up = true;
      stop.Cancel();
    }
    pipe.read.reset();
  }
  // Bytes that did not come, or are not the right ones, cannot be unpacked either.
  if (fetching && !gave_up) std::rethrow_exception(fetching);
  if (unpacking) std::rethrow_exception(unpacking);
  return answer;
}

void Unpack(store::Store& store, WorkerClient& worker, const LayerSource& source,
            const LargeWindow& window, const LayerProgress& progress,
            const base::CancelToken* cancel) {
  store::Staging staging = store.NewStaging();
  WorkerJob job;
  job.command = "unpack-layer";
  job.request = json{{"offset", source.blob.offset},
                     {"size", source.blob.size},
                     {"pipe", static_cast<bool>(source.stream)},
                     {"item", 0},
                     {"blob", source.blob_digest ? source.blob_digest->hex() : ""},
                     {"diff_id", source.diff_id.hex()}}
                    .dump();
  const base::UniqueFd turn = window.ForWorker();
  job.files = {source.blob.fd, turn.get()};
  job.mounts = {{"/out", runtime::StorePath{staging.tree_path(), true, true}}};
  job.privilege = runtime::Privilege::kUnpacker;
  const auto report = [&](const WorkerProgress& now) {
    progress(LayerState::kUnpacking, now.done, now.total);
  };
  progress(LayerState::kUnpacking, 0, source.blob.size);
  const LayerAnswer answer =
      ReadLayerAnswer(source.stream ? RunOnStream(worker, std::move(job), source, report, cancel)
                                    : worker.Run(job, report, cancel));
  Compare(answer, source);
  MarkOpaque(staging.tree(), answer.opaque);
  if (cancel != nullptr) cancel->ThrowIfCancelled();

  bool hides_lower = false;
  for (const std::string& path : answer.opaque) hides_lower |= path == ".";
  const store::Manifest manifest = store::ManifestOf(staging.tree());
  store::EntryInfo info;
  info.kind = Kind::kLayer;
  info.key = source.diff_id.hex();
  info.name = source.label;
  // "form": uppers and lowers of the rootless engine will carry user.overlay.* instead; the two
  // must never be mixed.
  info.meta = json{{"version", 1}, {"form", "trusted"}, {"hides_lower", hides_lower}}.dump();
  info.output = manifest.digest();
  info.bytes = manifest.bytes;
  info.files = manifest.files;
  store.Commit(std::move(staging), std::move(info));
}

bool HidesLower(const store::EntryInfo& info) {
  const base::DocumentOrigin origin{fmt::format("reading the record of layer `{}`", info.key),
                                    base::Fault::kHost};
  const json value = base::ParseJson(info.meta, origin);
  const base::Fields fields(value, origin);
  if (fields.Number("version") != 1 || fields.Text("form") != "trusted") {
    throw fields.Refuse("another version of rundlet unpacked it");
  }
  return fields.Flag("hides_lower");
}

}  // namespace

LargeWindow::LargeWindow() : file_(base::MemoryFile("rundlet-window", "")) {}

// Opened anew: who shares an open file shares its lock.
base::UniqueFd LargeWindow::ForWorker() const {
  return base::OpenHostPath(fmt::format("/proc/self/fd/{}", file_.get()), O_RDONLY);
}

HeldLayer EnsureLayer(store::Store& store, WorkerClient& worker, const LayerSource& source,
                      const LargeWindow& window, const LayerProgress& progress,
                      const base::CancelToken* cancel) {
  const std::string key = source.diff_id.hex();
  store::Lease use = store.Use(Kind::kLayer, key);
  LayerState state = LayerState::kPresent;
  std::optional<store::EntryInfo> info = store.Find(Kind::kLayer, key);
  if (!info) {
    const auto on_wait = [&](const store::MakerProgress&) { progress(LayerState::kWaiting, 0, 0); };
    const store::Lease make = store.Make(Kind::kLayer, key, cancel, on_wait);
    if (!store.Find(Kind::kLayer, key)) {
      state = LayerState::kDone;
      try {
        Unpack(store, worker, source, window, progress, cancel);
      } catch (base::Error& error) {
        error.While(fmt::format("unpacking layer `sha256:{}`", key));
        throw;
      }
    }
    info = store.Find(Kind::kLayer, key);
    RUNDLET_CHECK(info.has_value());
  }
  progress(state, source.blob.size, source.blob.size);
  return {HidesLower(*info), std::move(use)};
}

}  // namespace rundlet::rootfs
