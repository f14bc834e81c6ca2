// URLs that an index page, a redirect or a lock names: no URL, or parts by which it is decided
// whether it is fetched, and with whose credentials.
//
// Input: the URL of the page on the first line, then the reference on it.
#include <cstdint>
#include <string>
#include <string_view>

#include "rootfs/worker/http/fetch_url.h"
#include "tests/fuzz/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace worker = rundlet::rootfs::worker;
  using rundlet::fuzz::Require;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t line = input.find('\n');
  if (line == input.npos) return 0;
  const std::string page(input.substr(0, line));
  const std::string reference(input.substr(line + 1));
  const std::string url = worker::ResolveUrl(page, reference);
  if (url.empty()) return 0;
  Require(url.find_first_of(std::string_view(" \n\r\t\0", 5)) == url.npos);
  const worker::UrlParts parts = worker::PartsOf(url);
  Require(!parts.scheme.empty());
  for (const char byte : parts.scheme) Require(byte < 'A' || byte > 'Z');
  Require(parts.host.find_first_of("/@?#\\ ") == parts.host.npos);
  // What was resolved is fetched as it is: reading it again must not change it.
  Require(worker::ResolveUrl(url, url) == url);
  Require(worker::IsSameOrigin(url, url));
  // Credentials go where they are meant for: the same origin has the same host and scheme.
  if (worker::IsSameOrigin(page, url)) {
    Require(worker::PartsOf(page).scheme == parts.scheme);
    Require(worker::IsSameHost(worker::PartsOf(page).host, parts.host));
  }
  Require(worker::IsInDomains(parts.host, {"*"}));
  return 0;
}
