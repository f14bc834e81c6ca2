// registry-get: one manifest or blob of a registry, into an open descriptor.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>

#include "base/digest.h"
#include "rootfs/worker/http/fetch_http.h"

namespace rundlet::rootfs::worker {

// Takes the bytes of a document into a file, which is written anew at each attempt; or those of a
// blob into a pipe, where nothing can be taken back: a resumed blob goes on behind what was passed
// on, and when the server sends the whole again, that much of it is passed over. All bytes that
// were passed on are hashed. When the pipe's reader goes away the rest is hashed without being
// passed on, so that altered bytes are told from bytes that nobody can unpack.
//
// A blob may be written into a copy besides. What an earlier download left there is passed on and
// hashed as if it had just come.
class RegistryTarget : public HttpTarget {
 public:
  enum class Into { kFile, kPipe };
  enum class Copy { kNone, kIfThereIsRoom, kNeeded };
  struct Wanted {
    int fd = -1;  // borrowed, as the copy's
    Into into = Into::kFile;
    Copy copy = Copy::kNone;
    int copy_fd = -1;
    uint64_t size = 0;   // 0: not known
    uint64_t limit = 0;  // bytes at most
  };
  explicit RegistryTarget(const Wanted& wanted) : wanted_(wanted), copy_(wanted.copy) {}

  // Before anything is asked for.
  void TakeFromCopy();
  bool IsWhole() const { return wanted_.size != 0 && written_ == wanted_.size; }

  uint64_t ResumeFrom() override { return wanted_.into == Into::kPipe ? written_ : 0; }
  std::optional<std::string> Begin(const Start& start) override;
  std::optional<std::string> Take(std::span<const std::byte> piece) override;
  std::optional<HttpFailure> Complete() override;
  void Failed(const HttpFailure& failure) override { failure_ = failure; }

  std::optional<HttpFailure> TakeFailure() { return std::exchange(failure_, std::nullopt); }
  // Whether it was the bytes that were no good, not the way here.
  bool refused() const { return refused_; }
  const std::string& content_type() const { return content_type_; }
  uint64_t written() const { return written_; }
  base::Digest FinishDigest() { return hash_.Finish(); }

 private:
  std::string Refuse(std::string why);
  void Write(std::span<const std::byte> piece);
  void WriteCopy(std::span<const std::byte> piece);

  const Wanted wanted_;
  Copy copy_ = Copy::kNone;
  base::Sha256 hash_;
  uint64_t written_ = 0;
  uint64_t position_ = 0;  // in the whole, of what this answer sends next
  bool reader_gone_ = false;
  bool refused_ = false;
  std::string content_type_;
  std::optional<HttpFailure> failure_;
};

}  // namespace rundlet::rootfs::worker
