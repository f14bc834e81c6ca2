// Pages of a package index, JSON and HTML: refused in words, or files with absolute URLs.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "rootfs/worker/index_page.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rundlet::rootfs::worker;  // NOLINT(build/namespaces): a program of one function
  const std::string_view page(reinterpret_cast<const char*>(data), size);
  for (const auto parse : {ParseIndexJson, ParseIndexHtml}) {
    try {
      for (const IndexFile& file : parse(page, "https://index.example/simple/uv/")) {
        if (file.url.find(':') == file.url.npos) std::abort();
      }
    } catch (const rundlet::base::Error&) {
    }
  }
  for (const auto rename : {RenameInJson, RenameInHtml}) {
    try {
      rename(page, "https://index.example/simple/uv/", [](const std::string& url) {
        if (url.find(':') == url.npos) std::abort();
        return "https://gate.example/" + url;
      });
    } catch (const rundlet::base::Error&) {
    }
  }
  return 0;
}
