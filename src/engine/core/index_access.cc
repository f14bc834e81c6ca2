#include "engine/core/index_access.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "base/url.h"
#include "engine/core/network.h"
#include "rootfs/net/fetch.h"

namespace rundlet::engine {
namespace {

using base::Error;
using base::Fault;

constexpr size_t kNetrcLimit = 1 << 20;
constexpr size_t kFailuresLimit = 1 << 20;
constexpr const char* kKeyFile = "cache/index-key";

// Of this state directory, made once. Two processes that make it at once may go on with different
// ones: what the loser made is then made again.
base::Digest SecretKey(Engine& engine) {
  const int state = engine.store().dir();
  if (const auto file = base::TryOpenAt(state, kKeyFile, O_RDONLY)) {
    if (const auto key = base::Digest::Parse(base::ReadFd(file->get(), 64, kKeyFile))) return *key;
  }
  std::array<uint8_t, 32> bytes{};
  if (getentropy(bytes.data(), bytes.size()) < 0) base::ThrowErrno("asking for random bytes");
  const base::Digest key(bytes);
  base::MakeDirs(state, "cache", 0700);
  base::ReplaceAt(state, kKeyFile, key.hex(), 0600, base::Durability::kNone);
  return key;
}

std::optional<rootfs::NetrcLogin> FindLogin(const Config& config, const std::string& host) {
  if (config.netrc.empty()) return std::nullopt;
  const base::UniqueFd file(open(config.netrc.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.valid()) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    base::ThrowErrno("reading the netrc file `{}`", config.netrc);
  }
  auto login = rootfs::LoginIn(base::ReadFd(file.get(), kNetrcLimit, "the netrc file"), host);
  if (!login.has_value()) return std::nullopt;
  struct stat info;
  if (fstat(file.get(), &info) < 0) base::ThrowErrno("looking at `{}`", config.netrc);
  const bool own = info.st_uid == geteuid() || info.st_uid == 0;
  if (own && (info.st_mode & 077) == 0) return login;
  throw Error(Fault::kInvalid, fmt::format("reading the netrc file `{}`", config.netrc))
      .Because(fmt::format("it has a password for `{}`, and others may read it", host))
      .Hint(fmt::format("chmod 600 {}", config.netrc));
}

// What the gate wrote down of the first request that failed; see rootfs/worker/index_gate.h.
struct GateFailure {
  size_t index;
  int status;
  bool host;  // whose fault it is: the host's, or what was asked for
  std::string cause;
};

// Nullopt when there is none: it is a worker's word, and may be anything.
std::optional<GateFailure> ReadFailure(const std::string& text) {
  try {
    const nlohmann::json line = nlohmann::json::parse(text);
    return GateFailure{line.at("index"), line.value("status", 0), line.value("host", true),
                       line.value("cause", std::string())};
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

}  // namespace

rootfs::IndexAccess AccessTo(Engine& engine, const std::string& url) {
  rootfs::IndexAccess access{.login = {.url = url}};
  if (auto login = FindLogin(engine.config(), base::UrlHost(url))) {
    access.login.user = std::move(login->user);
    access.login.password = std::move(login->password);
  }
  access.id = rootfs::IndexId(SecretKey(engine), access.login);
  return access;
}

IndexAccesses::IndexAccesses(Engine& engine, const rootfs::RequirementSet& set)
    : pinned_(set.indexes) {
  all_.push_back(AccessTo(engine, engine.config().index_url));
  for (const rootfs::PinnedIndex& index : pinned_) all_.push_back(AccessTo(engine, index.url));
}

const rootfs::IndexAccess& IndexAccesses::Of(const std::string& package) const {
  for (size_t i = 0; i < pinned_.size(); ++i) {
    const std::vector<std::string>& packages = pinned_[i].packages;
    if (std::binary_search(packages.begin(), packages.end(), package)) return all_[i + 1];
  }
  return all_.front();
}

std::vector<base::Digest> IndexAccesses::realms() const {
  std::vector<base::Digest> realms;
  for (const rootfs::IndexAccess& one : all_) {
    if (const auto realm = one.realm()) realms.push_back(realm->digest);
  }
  return realms;
}

IndexGate::IndexGate(Engine& engine, const IndexAccesses& indexes)
    : engine_(engine),
      accesses_(indexes.all()),
      key_(SecretKey(engine)),
      failures_(base::MemoryFile("failures", "")) {
  for (const rootfs::IndexAccess& one : accesses_)
    addresses_.push_back({rootfs::GateId(one.id), one.login.url});
}

runtime::Sandbox IndexGate::Serve(runtime::Sandbox& sandbox) const {
  const base::UniqueFd listener = sandbox.TakeListener();
  // The administrator's index may be an inner host.
  const Network network(engine_.config(), engine_.config().index_url);
  rootfs::WorkerJob job{.command = "index-gate",
                        .request = {},
                        .files = {listener.get(), failures_.get()},
                        .mounts = {},
                        .network = runtime::Network::kHost};
  nlohmann::json indexes = nlohmann::json::array();
  for (size_t i = 0; i < accesses_.size(); ++i) {
    const rootfs::IndexLogin& login = accesses_[i].login;
    indexes.push_back({{"id", addresses_[i].id},
                       {"url", login.url},
                       {"user", login.user},
                       {"password", login.password},
                       {"proxy", ProxyFor(engine_.config(), login.url)}});
  }
  job.request = nlohmann::json({{"key", key_.hex()}, {"indexes", std::move(indexes)}}).dump();
  rootfs::AddNetwork(network.settings(), job);
  return engine_.workers().Start(job);
}

std::optional<Error> IndexGate::Failure() const {
  if (lseek(failures_.get(), 0, SEEK_SET) < 0) base::ThrowErrno("reading what an index answered");
  const std::string text = base::ReadFd(failures_.get(), kFailuresLimit, "what an index answered");
  const std::optional<GateFailure> failure = ReadFailure(text);
  if (!failure || failure->index >= accesses_.size()) return std::nullopt;
  const std::string& url = addresses_[failure->index].url;
  const int status = failure->status;
  Error error(failure->host ? Fault::kHost : Fault::kInvalid,
              fmt::format("asking the package index `{}`", url));
  error.Because(base::Printable(failure->cause));
  error.SetHint(status == 401 || status == 403
                    ? rootfs::CredentialsHint(base::UrlHost(url))
                    : "check the network, the index URL, the proxy and the CA bundle of this host "
                      "(`rundlet doctor`)");
  return error;
}

}  // namespace rundlet::engine
