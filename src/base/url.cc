#include "base/url.h"

#include "base/text.h"

namespace rundlet::base {
namespace {

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string UrlHost(const std::string& url) {
  const size_t start = url.find("://");
  if (start == url.npos) return Printable(url);
  std::string host = url.substr(start + 3);
  host = host.substr(0, host.find_first_of("/?#"));
  host = host.substr(host.rfind('@') + 1);  // the whole when there is none
  // The port; but not a colon inside "[::1]".
  if (const size_t colon = host.rfind(':');
      colon != host.npos && host.find(']', colon) == host.npos) {
    host.resize(colon);
  }
  return Printable(host);
}

std::string FilenameOfUrl(std::string_view url) {
  url = url.substr(0, url.find_first_of("?#"));
  url = url.substr(url.rfind('/') + 1);
  std::string name;
  for (size_t i = 0; i < url.size(); ++i) {
    const bool encoded = url[i] == '%' && i + 2 < url.size() && HexValue(url[i + 1]) >= 0 &&
                         HexValue(url[i + 2]) >= 0;
    name += encoded ? static_cast<char>(HexValue(url[i + 1]) * 16 + HexValue(url[i + 2])) : url[i];
    if (encoded) i += 2;
  }
  return name;
}

}  // namespace rundlet::base
