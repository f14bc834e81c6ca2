// Asks a package index for a project's page.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "rootfs/worker/http/fetch_http.h"
#include "rootfs/worker/http/index_page.h"

namespace rundlet::rootfs::worker {

// A page kept in memory, of limited size.
class PageTarget : public HttpTarget {
 public:
  HttpRequest RequestFor(std::string url);

  uint64_t ResumeFrom() override { return 0; }
  std::optional<std::string> Begin(const Start& start) override;
  std::optional<std::string> Take(std::span<const std::byte> piece) override;
  std::optional<HttpFailure> Complete() override { return std::nullopt; }
  void Failed(const HttpFailure& failure) override { failure_ = failure; }

  const std::string& page() const { return page_; }
  const Start& start() const { return start_; }
  const std::optional<HttpFailure>& failure() const { return failure_; }

 private:
  std::string page_;
  Start start_;
  std::optional<HttpFailure> failure_;
};

struct IndexAnswer {
  std::vector<IndexFile> files;
  std::optional<HttpFailure> failure;  // then there are none
};

// `index`: the URL of a simple index. Throws base::Error (kInvalid) for a page that is none.
IndexAnswer GetIndexPage(const HttpSettings& settings, std::string index,
                         const std::string& project);

}  // namespace rundlet::rootfs::worker
