// Pages of a package index, JSON and HTML: refused in words, or files with absolute URLs; and the
// page that a sandbox gets for them.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "rootfs/worker/http/index_page.h"
#include "rootfs/worker/servers/mirror_page.h"
#include "rootfs/worker/servers/mirror_request.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rundlet::rootfs::worker;  // NOLINT(build/namespaces): a program of one function
  const std::string_view page(reinterpret_cast<const char*>(data), size);
  for (const auto parse : {ParseIndexJson, ParseIndexHtml}) {
    try {
      const auto files = parse(page, "https://index.example/simple/uv/");
      for (const IndexFile& file : files) {
        if (file.url.find(':') == file.url.npos) std::abort();
      }
      // What is read from it again names the same bytes.
      const auto again = ParseIndexHtml(MirrorPage(files), "http://127.0.0.1:3128/simple/uv/");
      size_t mirrored = 0;
      for (const IndexFile& file : files) {
        if (!IsMirroredName(file.filename)) continue;
        if (mirrored == again.size() || again[mirrored].filename != file.filename ||
            again[mirrored].sha256 != file.sha256 || again[mirrored].metadata != file.metadata)
          std::abort();
        ++mirrored;
      }
      if (mirrored != again.size()) std::abort();
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
