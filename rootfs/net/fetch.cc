#include "rootfs/net/fetch.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <span>

#include "base/error.h"
#include "base/fs.h"
#include "base/json/fields.h"
#include "base/text.h"
#include "base/url.h"
#include "base/walls.h"

namespace rundlet::rootfs {
namespace {

constexpr size_t kMaxCause = 64 << 10;
constexpr size_t kBatch = 64;  // wheels a job: each is an open descriptor here and in the worker

// A wheel on its way: held by its make lease, written into its staging directory.
struct Arriving {
  size_t index = 0;  // into the caller's list
  const WantedWheel* wanted = nullptr;
  store::Lease lease;
  std::optional<store::Staging> staging;
  base::UniqueFd file;

  const Distribution& distribution() const { return *wanted->distribution; }
};

std::vector<Arriving> Begin(store::Store& store, const std::vector<WantedWheel>& wanted,
                            const base::CancelToken* cancel) {
  // Make leases are taken in the order of their keys, so that two processes cannot wait for each
  // other.
  std::vector<size_t> order(wanted.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::vector<std::string> keys;
  for (const WantedWheel& one : wanted) keys.push_back(one.distribution->WheelKey());
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return keys[a] < keys[b]; });
  std::vector<Arriving> arriving;
  std::string last;
  for (const size_t index : order) {
    const std::string& key = keys[index];
    if (last == key || store.Find(store::Kind::kWheel, key)) continue;
    last = key;
    store::Lease lease = store.Make(store::Kind::kWheel, key, cancel, wanted[index].on_wait);
    if (store.Find(store::Kind::kWheel, key)) continue;
    arriving.push_back({index, &wanted[index], std::move(lease), std::nullopt, {}});
  }
  return arriving;
}

void Open(store::Store& store, Arriving& wheel) {
  CheckDistribution(wheel.distribution());
  if (wheel.distribution().url.empty()) {
    throw base::Error(base::Fault::kInvalid,
                      fmt::format("using `{}`", wheel.distribution().filename))
        .Because("it was given as a file, and is not in the store any more")
        .Hint("run this again with the file in its place");
  }
  wheel.staging = store.NewStaging();
  wheel.file = base::OpenAt(wheel.staging->tree(), wheel.distribution().filename,
                            O_RDWR | O_CREAT | O_EXCL, 0644);
}

base::Error Failure(const std::string& label, const std::string& url, base::Fault fault,
                    const std::string& cause) {
  base::Error error(fault, fmt::format("fetching `{}` from `{}`", label, base::UrlHost(url)));
  error.Because(base::Printable(cause));
  if (fault == base::Fault::kHost) {
    error.SetHint("check the network, the proxy and the CA bundle of this host (`rundlet doctor`)");
  }
  return error;
}

// Before the first byte comes, rather than after most of them did.
void CheckRoom(store::Store& store, std::span<const Arriving> batch) {
  struct statvfs info;
  if (fstatvfs(store.dir(), &info) < 0) base::ThrowErrno("looking at the state directory's disk");
  const uint64_t left = uint64_t{info.f_bavail} * info.f_frsize;
  uint64_t needed = 0;
  for (const Arriving& wheel : batch) {
    needed += wheel.distribution().size;
    if (needed <= left) continue;
    throw base::Error(base::Fault::kHost,
                      fmt::format("fetching `{}`", wheel.distribution().Label()))
        .Because(fmt::format("no space left on device: it has {}, with what comes along {}, and {} "
                             "are free",
                             base::HumanBytes(wheel.distribution().size), base::HumanBytes(needed),
                             base::HumanBytes(left)))
        .Hint(
            "free space on the file system of the state directory, or choose another with --state");
  }
}

// What goes wrong with the worker as a whole, such as a full disk, is no item's own failure.
nlohmann::json RunFetcher(WorkerClient& workers, const WorkerJob& job, std::span<Arriving> batch,
                          const ProgressCallback& progress, const base::CancelToken* cancel) {
  try {
    return base::ParseJson(workers.Run(job, progress, cancel), base::AnswerOf(job.command));
  } catch (base::Error& error) {
    const std::string more =
        batch.size() > 1 ? fmt::format(" and {} more", batch.size() - 1) : std::string();
    error.While(fmt::format("fetching `{}`{}", batch.front().distribution().Label(), more));
    throw;
  }
}

// The worker is not believed: the bytes are hashed once more here.
store::NewEntry Finish(Arriving& wheel) {
  const Distribution& distribution = wheel.distribution();
  if (lseek(wheel.file.get(), 0, SEEK_SET) < 0)
    base::ThrowErrno("reading `{}`", distribution.filename);
  const base::Digest digest = base::DigestOfFile(wheel.file.get());
  if (digest != distribution.sha256 && base::Holds(base::Wall::kArrivedBytes)) {
    throw Failure(
        distribution.Label(), distribution.url, base::Fault::kInvalid,
        fmt::format("its sha256 is {}, the lock says {}", digest.hex(), distribution.sha256.hex()));
  }
  wheel.file.reset();
  store::Normalise(wheel.staging->tree());
  store::EntryInfo info;
  info.kind = store::Kind::kWheel;
  info.key = distribution.WheelKey();
  info.name = distribution.Label();
  info.meta = nlohmann::json({{"version", 1}, {"filename", distribution.filename}}).dump();
  const store::Manifest manifest = store::ManifestOf(wheel.staging->tree());
  info.output = manifest.digest();
  info.bytes = manifest.bytes;
  info.files = manifest.files;
  return {std::move(*wheel.staging), std::move(info)};
}

const nlohmann::json& ItemsOf(const nlohmann::json& answer, size_t count) {
  const base::DocumentOrigin origin = base::AnswerOf("fetch");
  const base::Fields fields(answer, origin);
  const nlohmann::json& items = fields.List("items", count);
  if (items.size() != count) throw fields.Refuse("`items` has too few elements");
  return items;
}

// Why it was not fetched, if it was not.
std::optional<base::Error> ReadItem(const nlohmann::json& document, const std::string& label,
                                    const std::string& url) {
  const base::DocumentOrigin origin = base::AnswerOf("fetch");
  const base::Fields item(document, origin);
  if (item.Flag("ok")) return std::nullopt;
  const bool host = item.Number("fault") == static_cast<uint64_t>(base::Fault::kHost);
  base::Error error = Failure(label, url, host ? base::Fault::kHost : base::Fault::kInvalid,
                              item.Text("cause", kMaxCause));
  const uint64_t status = item.Number("status");
  if (status == 401 || status == 403) error.SetHint(CredentialsHint(base::UrlHost(url)));
  return error;
}

// Fetches one batch and commits what arrived; notes what did not.
void FetchBatch(store::Store& store, WorkerClient& workers, std::span<Arriving> batch,
                const NetworkSettings& network, std::vector<std::optional<base::Error>>& failures,
                const base::CancelToken* cancel) {
  CheckRoom(store, batch);
  nlohmann::json items = nlohmann::json::array();
  WorkerJob job;
  job.command = "fetch";
  for (Arriving& wheel : batch) {
    Open(store, wheel);
    const Distribution& one = wheel.distribution();
    items.push_back({{"url", one.url}, {"size", one.size}, {"sha256", one.sha256.hex()}});
    job.files.push_back(wheel.file.get());
  }
  job.request = nlohmann::json({{"items", std::move(items)}}).dump();
  AddNetwork(network, job);
  const auto pass_on = [&](const WorkerProgress& one) {
    if (one.item >= batch.size()) return;
    batch[one.item].lease.Tell({one.done, one.total});
    if (batch[one.item].wanted->on_progress) batch[one.item].wanted->on_progress(one);
  };
  const nlohmann::json answer = RunFetcher(workers, job, batch, pass_on, cancel);
  const nlohmann::json& told = ItemsOf(answer, batch.size());
  std::vector<store::NewEntry> arrived;
  for (size_t i = 0; i < batch.size(); ++i) {
    const Distribution& one = batch[i].distribution();
    std::optional<base::Error>& failure = failures[batch[i].index];
    failure = ReadItem(told[i], one.Label(), one.url);
    if (failure.has_value()) continue;
    try {
      arrived.push_back(Finish(batch[i]));
    } catch (const base::Error& error) {
      failure = error;
    }
  }
  if (!arrived.empty()) store.CommitAll(std::move(arrived));
}

}  // namespace

std::vector<std::optional<base::Error>> FetchWheels(store::Store& store, WorkerClient& workers,
                                                    const std::vector<WantedWheel>& wanted,
                                                    const NetworkSettings& network,
                                                    const base::CancelToken* cancel) {
  std::vector<std::optional<base::Error>> failures(wanted.size());
  std::vector<Arriving> arriving = Begin(store, wanted, cancel);
  for (size_t at = 0; at < arriving.size(); at += kBatch) {
    const std::span batch = std::span(arriving).subspan(at, std::min(kBatch, arriving.size() - at));
    FetchBatch(store, workers, batch, network, failures, cancel);
  }
  return failures;
}

void FetchWheel(store::Store& store, WorkerClient& workers, const Distribution& distribution,
                const NetworkSettings& network, const base::CancelToken* cancel) {
  const auto failures =
      FetchWheels(store, workers, {{.distribution = &distribution}}, network, cancel);
  if (failures.front().has_value()) throw base::Error(*failures.front());
}

std::string WheelFile(const store::EntryInfo& wheel) {
  const nlohmann::json meta = nlohmann::json::parse(wheel.meta, nullptr, false);
  const bool good = meta.is_object() && meta.contains("filename") && meta["filename"].is_string();
  const std::string name = good ? meta["filename"].get<std::string>() : "";
  if (!base::IsPlainRelative(name) || name.find('/') != name.npos) {
    throw base::Error(base::Fault::kBug, fmt::format("reading wheel entry `{}`", wheel.key))
        .Because("its record does not name its file");
  }
  return name;
}

store::Staging FetchFile(store::Store& store, WorkerClient& workers, const WantedFile& wanted,
                         const NetworkSettings& network, const base::CancelToken* cancel) {
  store::Staging staging = store.NewStaging();
  const base::UniqueFd file =
      base::OpenAt(staging.tree(), wanted.filename, O_RDWR | O_CREAT | O_EXCL, 0644);
  const std::string sha256 = wanted.sha256.has_value() ? wanted.sha256->hex() : "";
  WorkerJob job;
  job.command = "fetch";
  job.request = nlohmann::json(
                    {{"items", {{{"url", wanted.url}, {"size", wanted.size}, {"sha256", sha256}}}}})
                    .dump();
  job.files = {file.get()};
  AddNetwork(network, job);
  const nlohmann::json answer =
      base::ParseJson(workers.Run(job, {}, cancel), base::AnswerOf(job.command));
  const auto failure = ReadItem(ItemsOf(answer, 1).front(), wanted.label, wanted.url);
  if (failure.has_value()) throw base::Error(*failure);
  if (wanted.sha256.has_value()) {
    if (lseek(file.get(), 0, SEEK_SET) < 0)
      base::ThrowErrno("reading the file of `{}`", wanted.label);
    if (base::DigestOfFile(file.get()) != *wanted.sha256)
      throw Failure(wanted.label, wanted.url, base::Fault::kInvalid,
                    "it has other bytes than the index says");
  }
  store::Normalise(staging.tree());
  return staging;
}

}  // namespace rundlet::rootfs
