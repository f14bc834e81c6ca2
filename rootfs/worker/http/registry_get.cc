#include "rootfs/worker/http/registry_get.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "base/walls.h"
#include "rootfs/worker/command.h"
#include "rootfs/worker/http/fetch.h"
#include "rootfs/worker/http/registry_auth.h"

namespace rundlet::rootfs::worker {
namespace {

constexpr int kDocumentTimeouts = 3;  // as long as so many time-outs may one take from end to end
constexpr int kSlowest = 1024;        // bytes a second
constexpr int kLogins = 2;            // a token may run out while a blob is on its way
constexpr size_t kCopyPiece = size_t{256} << 10;

RegistryTarget::Into KindOf(int fd) {
  struct stat info;
  if (fstat(fd, &info) < 0) base::ThrowErrno("looking at where a download goes");
  return S_ISREG(info.st_mode) ? RegistryTarget::Into::kFile : RegistryTarget::Into::kPipe;
}

RegistryTarget::Copy CopyFrom(std::string_view text) {
  if (text == "needed") return RegistryTarget::Copy::kNeeded;
  return text == "none" ? RegistryTarget::Copy::kNone : RegistryTarget::Copy::kIfThereIsRoom;
}

// Runs the request until it is done, logging in when the registry asks for it.
void GetWithLogin(const HttpSettings& settings, const nlohmann::json& request,
                  Authorization& authorization, RegistryTarget& target) {
  const RegistryLogin login{request.at("user"), request.at("password"),
                            request.at("identity_token")};
  const RegistryTransport transport = request.at("plain_http").get<bool>()
                                          ? RegistryTransport::kPlainHttp
                                          : RegistryTransport::kHttps;
  HttpSettings for_tokens = settings;
  for_tokens.total_seconds = kDocumentTimeouts * settings.timeout_seconds;
  for (int logins = 0;; ++logins) {
    RunHttp(settings, {{.url = request.at("url"),
                        .accept = request.at("accept"),
                        .target = &target,
                        .user = authorization.user,
                        .password = authorization.password,
                        .token = authorization.token}});
    const std::optional<HttpFailure> failure = target.TakeFailure();
    if (!failure) return;
    if (failure->status == 401 && logins < kLogins && !failure->challenges.empty()) {
      authorization = Authorize(for_tokens, failure->challenges, login,
                                request.at("scope").get<std::string>(), transport);
      continue;
    }
    const bool host = failure->host_fault && !target.refused();
    throw base::Error(host ? base::Fault::kHost : base::Fault::kInvalid, "asking the registry")
        .Because(failure->cause);
  }
}

}  // namespace

std::string RegistryTarget::Refuse(std::string why) {
  refused_ = true;
  return why;
}

std::optional<std::string> RegistryTarget::Begin(const Start& start) {
  if (wanted_.size != 0 && start.total != 0 && start.total != wanted_.size) {
    return Refuse(fmt::format("the registry sends {} bytes, the descriptor says {}", start.total,
                              wanted_.size));
  }
  if (start.total > wanted_.limit) {
    return Refuse(fmt::format("the registry sends {}, more than the {} that it may have",
                              base::HumanBytes(start.total), base::HumanBytes(wanted_.limit)));
  }
  content_type_ = start.content_type;
  position_ = start.offset;
  if (wanted_.into == Into::kPipe) return std::nullopt;
  if (ftruncate(wanted_.fd, 0) < 0 || lseek(wanted_.fd, 0, SEEK_SET) < 0) {
    base::ThrowErrno("starting a download again");
  }
  hash_ = base::Sha256();
  written_ = 0;
  return std::nullopt;
}

std::optional<std::string> RegistryTarget::Take(std::span<const std::byte> piece) {
  const uint64_t repeated = std::min<uint64_t>(written_ - position_, piece.size());
  position_ += repeated;
  piece = piece.subspan(repeated);
  if (piece.size() > wanted_.limit - written_) {
    return Refuse(fmt::format("the registry sends more than the {} that it may have",
                              base::HumanBytes(wanted_.limit)));
  }
  hash_.Add(piece);
  Write(piece);
  WriteCopy(piece);
  written_ += piece.size();
  position_ += piece.size();
  ReportProgress(0, written_, wanted_.size);
  return std::nullopt;
}

void RegistryTarget::Write(std::span<const std::byte> piece) {
  while (!piece.empty() && !reader_gone_) {
    const ssize_t count = write(wanted_.fd, piece.data(), piece.size());
    if (count >= 0) {
      piece = piece.subspan(static_cast<size_t>(count));
    } else if (errno == EPIPE) {
      reader_gone_ = true;
    } else if (errno != EINTR) {
      base::ThrowErrno("passing on a download");
    }
  }
}

void RegistryTarget::TakeFromCopy() {
  if (copy_ == Copy::kNone) return;
  std::vector<std::byte> buffer(kCopyPiece);
  while (written_ < wanted_.size) {
    const size_t most = std::min<uint64_t>(buffer.size(), wanted_.size - written_);
    const ssize_t count = pread(wanted_.copy_fd, buffer.data(), most, static_cast<off_t>(written_));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) base::ThrowErrno("reading what an earlier download left");
    if (count == 0) return;
    const std::span<const std::byte> piece(buffer.data(), static_cast<size_t>(count));
    hash_.Add(piece);
    Write(piece);
    written_ += piece.size();
    ReportProgress(0, written_, wanted_.size);
  }
}

void RegistryTarget::WriteCopy(std::span<const std::byte> piece) {
  for (uint64_t at = written_; !piece.empty() && copy_ != Copy::kNone;) {
    const ssize_t count =
        pwrite(wanted_.copy_fd, piece.data(), piece.size(), static_cast<off_t>(at));
    if (count >= 0) {
      piece = piece.subspan(static_cast<size_t>(count));
      at += static_cast<uint64_t>(count);
    } else if (errno == EINTR) {
      continue;
    } else if (copy_ == Copy::kNeeded) {
      base::ThrowErrno("writing the copy of a download");
    } else {
      // The layer needs the room more.
      copy_ = Copy::kNone;
      if (ftruncate(wanted_.copy_fd, 0) < 0) base::ThrowErrno("giving up the copy of a download");
    }
  }
}

std::optional<HttpFailure> RegistryTarget::Complete() {
  if (written_ >= wanted_.size) return std::nullopt;
  return HttpFailure{fmt::format("the download ended after {} of {} bytes", written_, wanted_.size),
                     true};
}

// Request: {"url", "accept", "scope", "user", "password", "identity_token", "token", "plain_http",
// "size", "limit", "sha256", "copy"} and the fields of ReadHttpSettings; the first file receives
// the bytes, and when "copy" is "if-there-is-room" or "needed", not "none", the second one, too.
// Texts may be empty. Answer: {"sha256", "size", "media_type", "token"}: with the token, which may
// be empty, the next request saves the login.
nlohmann::json RegistryGet(const nlohmann::json& request) {
  // A reader that goes away is found by write.
  std::signal(SIGPIPE, SIG_IGN);
  RegistryTarget target({.fd = kFirstFile,
                         .into = KindOf(kFirstFile),
                         .copy = CopyFrom(request.at("copy").get<std::string>()),
                         .copy_fd = kFirstFile + 1,
                         .size = request.at("size"),
                         .limit = request.at("limit")});
  HttpSettings settings = ReadHttpSettings(request);
  settings.slowest = kSlowest;
  if (KindOf(kFirstFile) == RegistryTarget::Into::kFile) {
    settings.total_seconds = kDocumentTimeouts * settings.timeout_seconds;
  }
  Authorization authorization{"", "", request.at("token")};
  target.TakeFromCopy();
  if (!target.IsWhole()) GetWithLogin(settings, request, authorization, target);
  const base::Digest digest = target.FinishDigest();
  const std::optional<base::Digest> wanted =
      base::Digest::Parse(request.at("sha256").get<std::string>());
  if (wanted && digest != *wanted && base::Holds(base::Wall::kRegistryBytes)) {
    throw base::Error(base::Fault::kInvalid, "checking what the registry sent")
        .Because(fmt::format("it was altered: its digest is `sha256:{}`, not `sha256:{}`",
                             digest.hex(), wanted->hex()));
  }
  return {{"sha256", digest.hex()},
          {"size", target.written()},
          {"media_type", target.content_type().substr(0, target.content_type().find(';'))},
          {"token", authorization.token}};
}

}  // namespace rundlet::rootfs::worker
