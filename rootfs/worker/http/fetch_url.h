// URLs and hosts, as the fetcher sees them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rundlet::rootfs::worker {

// What of a URL decides whether it is fetched. All empty when the text is no URL.
struct UrlParts {
  std::string scheme;  // lower case
  std::string host;    // without port; "[::1]" for an address
  std::string user;    // credentials, when there are any
};
UrlParts PartsOf(const std::string& url);

// A reference resolved against a URL. Empty when that gives no URL.
std::string ResolveUrl(const std::string& base_url, const std::string& reference);

// Whether scheme, host and port of two URLs are the same: what credentials are meant for.
bool IsSameOrigin(const std::string& a, const std::string& b);

// "a b" -> "a%20b": a value inside a query or a form.
std::string EncodeQuery(const std::string& value);

// Host names are compared without regard to case.
bool IsSameHost(std::string_view a, std::string_view b);
// Whether `host` is one of `domains` or lies in one of them ("a.example" in "example" or
// ".example";
// "*" has all).
bool IsInDomains(std::string_view host, const std::vector<std::string>& domains);

}  // namespace rundlet::rootfs::worker
