#include "rootfs/worker/http/fetch.h"

#include <unistd.h>

#include <list>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "base/walls.h"
#include "rootfs/worker/command.h"

namespace rundlet::rootfs::worker {
namespace {

constexpr uint64_t kUnknownSizeLimit = uint64_t{8} << 30;
constexpr size_t kBundleLimit = size_t{8} << 20;

std::string ReadBundle(const nlohmann::json& number) {
  const int fd = kFirstFile + number.get<int>();
  if (lseek(fd, 0, SEEK_SET) < 0) base::ThrowErrno("reading the CA bundle");
  return base::ReadFd(fd, kBundleLimit, "the CA bundle");
}

}  // namespace

void FileTarget::Restart() {
  if (ftruncate(wanted_.fd, 0) < 0 || lseek(wanted_.fd, 0, SEEK_SET) < 0) {
    base::ThrowErrno("starting a download again");
  }
  hash_ = base::Sha256();
  written_ = 0;
  resumed_ = false;
}

std::optional<std::string> FileTarget::Begin(const Start& start) {
  if (start.offset != written_ || start.offset == 0) Restart();
  resumed_ = start.offset != 0;
  if (wanted_.size != 0 && start.total != 0 && start.total != wanted_.size) {
    return fmt::format("the server sends {} bytes, the lock says {}", start.total, wanted_.size);
  }
  total_ = wanted_.size != 0 ? wanted_.size : start.total;
  return std::nullopt;
}

std::optional<std::string> FileTarget::Take(std::span<const std::byte> piece) {
  const uint64_t limit = wanted_.size != 0 ? wanted_.size : kUnknownSizeLimit;
  if (piece.size() > limit - written_)
    return fmt::format("the file is larger than {} bytes", limit);
  base::WriteFd(wanted_.fd, {reinterpret_cast<const char*>(piece.data()), piece.size()},
                "a downloaded file");
  hash_.Add(piece);
  written_ += piece.size();
  ReportProgress(wanted_.item, written_, total_);
  return std::nullopt;
}

std::optional<HttpFailure> FileTarget::Complete() {
  if (wanted_.size != 0 && written_ < wanted_.size) {
    return HttpFailure{
        fmt::format("the download ended after {} of {} bytes", written_, wanted_.size), true};
  }
  const base::Digest digest = hash_.Finish();
  if (!wanted_.sha256.has_value() || digest == wanted_.sha256) return std::nullopt;
  if (!base::Holds(base::Wall::kFetchedBytes)) return std::nullopt;
  const bool resumed = resumed_;
  Restart();
  // The file may have changed between two parts; from its beginning it must be right.
  return HttpFailure{
      fmt::format("its sha256 is {}, the lock says {}", digest.hex(), wanted_.sha256->hex()),
      resumed, false};
}

HttpSettings ReadHttpSettings(const nlohmann::json& request) {
  HttpSettings settings;
  settings.proxy = request.value("proxy", "");
  settings.no_proxy = request.value("no_proxy", std::vector<std::string>());
  settings.private_hosts = request.value("private_hosts", std::vector<std::string>());
  settings.timeout_seconds = request.at("timeout_seconds");
  for (const nlohmann::json& login : request.value("logins", nlohmann::json::array()))
    settings.logins.push_back({login.at(0), login.at(1), login.at(2)});
  if (request.contains("ca_bundle") && !request["ca_bundle"].is_null()) {
    settings.ca_bundle = ReadBundle(request["ca_bundle"]);
  }
  return settings;
}

// Request: {"items": [{"url", "size", "sha256" (empty: not known)}, ...]} and the fields of
// ReadHttpSettings; file i receives item i. Answer: {"items": [{"ok": true, "bytes"} | {"ok":
// false, "fault", "status", "cause"},
// ...]}.
nlohmann::json Fetch(const nlohmann::json& request) {
  const HttpSettings settings = ReadHttpSettings(request);
  std::list<FileTarget> targets;  // addresses stay
  std::vector<HttpRequest> requests;
  for (const nlohmann::json& item : request.at("items")) {
    const std::string hex = item.at("sha256");
    const std::optional<base::Digest> digest = base::Digest::Parse(hex);
    if (!digest.has_value() && !hex.empty())
      throw base::Error(base::Fault::kBug, "reading a fetch request").Because("bad digest");
    const uint64_t index = targets.size();
    targets.emplace_back(FileTarget::Wanted{.fd = kFirstFile + static_cast<int>(index),
                                            .item = index,
                                            .size = item.value("size", uint64_t{0}),
                                            .sha256 = digest});
    requests.push_back({.url = item.at("url"), .target = &targets.back()});
  }
  RunHttp(settings, requests);
  nlohmann::json items = nlohmann::json::array();
  for (const FileTarget& target : targets) {
    if (!target.failure().has_value()) {
      items.push_back({{"ok", true}, {"bytes", target.written()}});
      continue;
    }
    const base::Fault fault =
        target.failure()->host_fault ? base::Fault::kHost : base::Fault::kInvalid;
    items.push_back({{"ok", false},
                     {"fault", static_cast<int>(fault)},
                     {"status", target.failure()->status},
                     {"cause", target.failure()->cause}});
  }
  return {{"items", std::move(items)}};
}

}  // namespace rundlet::rootfs::worker
