#include "rootfs/worker/http/fetch_url.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <memory>

#include "base/text.h"

namespace rundlet::rootfs::worker {
namespace {

struct UrlCloser {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Url = std::unique_ptr<CURLU, UrlCloser>;

std::string Part(const Url& url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url.get(), part, &text, flags) != CURLUE_OK) return {};
  std::string copy(text);
  curl_free(text);
  return copy;
}

}  // namespace

UrlParts PartsOf(const std::string& url) {
  const Url parsed(curl_url());
  if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return {};
  return {Part(parsed, CURLUPART_SCHEME), Part(parsed, CURLUPART_HOST),
          Part(parsed, CURLUPART_USER)};
}

std::string ResolveUrl(const std::string& base_url, const std::string& reference) {
  const Url url(curl_url());
  if (curl_url_set(url.get(), CURLUPART_URL, base_url.c_str(), 0) != CURLUE_OK) return {};
  if (curl_url_set(url.get(), CURLUPART_URL, reference.c_str(), 0) != CURLUE_OK) return {};
  return Part(url, CURLUPART_URL);
}

bool IsSameOrigin(const std::string& a, const std::string& b) {
  const auto origin = [](const std::string& text) -> std::string {
    const Url url(curl_url());
    if (curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) return {};
    return Part(url, CURLUPART_SCHEME) + " " + base::LowerCase(Part(url, CURLUPART_HOST)) + " " +
           Part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  };
  const std::string first = origin(a);
  return !first.empty() && first == origin(b);
}

std::string EncodeQuery(const std::string& value) {
  char* text = curl_easy_escape(nullptr, value.data(), static_cast<int>(value.size()));
  if (text == nullptr) return {};
  std::string copy(text);
  curl_free(text);
  return copy;
}

bool IsSameHost(std::string_view a, std::string_view b) {
  return base::LowerCase(a) == base::LowerCase(b);
}

bool IsInDomains(std::string_view host, const std::vector<std::string>& domains) {
  const std::string name = "." + base::LowerCase(host);
  return std::any_of(domains.begin(), domains.end(), [&](const std::string& domain) {
    const std::string lower = base::LowerCase(domain);
    if (lower.empty()) return false;
    return lower == "*" || name.ends_with(lower.front() == '.' ? lower : "." + lower);
  });
}

}  // namespace rundlet::rootfs::worker
