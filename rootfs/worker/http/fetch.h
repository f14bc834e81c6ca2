// Downloading files of known digest into open descriptors.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "base/digest.h"
#include "rootfs/worker/http/fetch_http.h"

namespace rundlet::rootfs::worker {

// A file that is written while it comes, hashed on the way. A broken download is continued from
// where it broke when the server honours the range; the digest over all bytes decides in the end.
class FileTarget : public HttpTarget {
 public:
  struct Wanted {
    int fd = -1;                         // borrowed, open for writing, empty
    uint64_t item = 0;                   // for progress
    uint64_t size = 0;                   // 0: not known
    std::optional<base::Digest> sha256;  // absent: whatever comes
  };
  explicit FileTarget(const Wanted& wanted) : wanted_(wanted) {}

  uint64_t ResumeFrom() override { return written_; }
  std::optional<std::string> Begin(const Start& start) override;
  std::optional<std::string> Take(std::span<const std::byte> piece) override;
  std::optional<HttpFailure> Complete() override;
  void Failed(const HttpFailure& failure) override { failure_ = failure; }

  const std::optional<HttpFailure>& failure() const { return failure_; }
  uint64_t written() const { return written_; }

 private:
  void Restart();

  Wanted wanted_;
  base::Sha256 hash_;
  uint64_t written_ = 0;
  uint64_t total_ = 0;
  bool resumed_ = false;
  std::optional<HttpFailure> failure_;
};

// The common fields of requests that use the network:
//   "ca_bundle": number of a file of the job (PEM) or null, "proxy", "no_proxy": [...],
//   "private_hosts": [...], "timeout_seconds", "logins": [[url, user, password], ...]
HttpSettings ReadHttpSettings(const nlohmann::json& request);

}  // namespace rundlet::rootfs::worker
