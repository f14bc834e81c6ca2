#include "rootfs/packages/tool.h"

#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.h"
#include "base/json/fields.h"
#include "base/text.h"
#include "base/url.h"
#include "rootfs/packages/package.h"

namespace rundlet::rootfs {
namespace {

constexpr std::string_view kToolVersion = "1";
constexpr std::string_view kUvVersion = "0.13.9";
// uv is a static program; the tag only names a folder of its tree.
constexpr const char* kPythonTag = "3.11";

struct ToolWheel {
  std::string_view machine;
  std::string_view sha256;
};

constexpr std::array kUvWheels = {
    // uv-0.13.9-py3-none-musllinux_1_1_x86_64.whl
    ToolWheel{"x86_64", "2c45530751517d6c3bbc69a19473f6effe47cce047bede01ffd8af7ea7b36b25"},
    // uv-0.13.9-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64.whl
    ToolWheel{"aarch64", "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe"},
};

base::Digest PinnedUv() {
  utsname names;
  if (uname(&names) < 0) base::ThrowErrno("asking for this machine's type");
  const std::string_view machine = names.machine;
  const auto* found = std::find_if(kUvWheels.begin(), kUvWheels.end(), [&](const ToolWheel& wheel) {
    return wheel.machine == machine;
  });
  if (found == kUvWheels.end()) {
    throw base::Error(base::Fault::kHost, "preparing the resolver `uv`")
        .Because(fmt::format("there is none for {}", machine));
  }
  return *base::Digest::Parse(found->sha256);
}

Distribution FindUv(WorkerClient& workers, const std::string& index, const base::Digest& digest,
                    const NetworkSettings& network, const base::CancelToken* cancel) {
  WorkerJob job;
  job.command = "find-in-index";
  job.request =
      nlohmann::json({{"index", index}, {"project", "uv"}, {"sha256", {digest.hex()}}}).dump();
  AddNetwork(network, job);
  const base::DocumentOrigin origin = base::AnswerOf(job.command);
  const nlohmann::json answer = base::ParseJson(workers.Run(job, {}, cancel), origin);
  const base::Fields fields(answer, origin);
  if (!fields.Has("file")) {
    throw base::Error(base::Fault::kHost, "looking for the resolver `uv`")
        .Because(fmt::format("`{}` does not offer version {} with the digest this rundlet expects",
                             base::UrlHost(index), kUvVersion))
        .Hint("use an index that mirrors all files of the project `uv`");
  }
  Distribution uv;
  uv.name = "uv";
  uv.version = kUvVersion;
  uv.sha256 = digest;
  const base::Fields file = fields.Object("file");
  uv.filename = file.Text("filename");
  uv.url = file.Text("url");
  uv.size = file.Number("size");
  CheckDistribution(uv);
  return uv;
}

std::string ToolKey(const base::Digest& wheel) {
  base::Sha256 hash;
  hash.AddField("tool");
  hash.AddField(kToolVersion);
  hash.AddField(wheel.hex());
  return hash.Finish().hex();
}

}  // namespace

std::string UvKey() { return ToolKey(PinnedUv()); }

store::EntryInfo EnsureUv(store::Store& store, WorkerClient& workers, const std::string& index,
                          const NetworkSettings& network, const base::CancelToken* cancel) {
  const base::Digest digest = PinnedUv();
  const std::string key = ToolKey(digest);
  if (auto there = store.Find(store::Kind::kTool, key)) return *there;
  const store::Lease lease = store.Make(store::Kind::kTool, key, cancel);
  if (auto there = store.Find(store::Kind::kTool, key)) return *there;
  const Distribution uv = FindUv(workers, index, digest, network, cancel);
  const store::Lease wheel_lease = store.Use(store::Kind::kWheel, digest.hex());
  FetchWheel(store, workers, uv, network, cancel);
  store::NewEntry entry = PreparePackage(store, workers, uv, kPythonTag, cancel);
  entry.info.kind = store::Kind::kTool;
  entry.info.key = key;
  store::EntryInfo info = entry.info;
  store.Commit(std::move(entry.staging), std::move(entry.info));
  return info;
}

}  // namespace rundlet::rootfs
