// Parts of a URL's text, for messages and file names. Whether a URL is fetched is decided by the
// fetcher's own parser (rootfs/worker/http/fetch_url.h).
#pragma once

#include <string>
#include <string_view>

namespace rundlet::base {

// "index.example": the host of a URL without its port, for messages and for private_hosts.
std::string UrlHost(const std::string& url);
// The file that a URL names: its last segment, percent-decoded ("%2B" is the "+" of a local
// version).
std::string FilenameOfUrl(std::string_view url);

}  // namespace rundlet::base
