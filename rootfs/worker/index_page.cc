#include "rootfs/worker/index_page.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/error.h"
#include "rootfs/worker/fetch_url.h"

namespace rundlet::rootfs::worker {
namespace {

std::string Unescape(std::string_view text) {
  constexpr std::pair<std::string_view, char> kEntities[] = {{"&amp;", '&'},  {"&lt;", '<'},
                                                             {"&gt;", '>'},   {"&quot;", '"'},
                                                             {"&#39;", '\''}, {"&#x27;", '\''}};
  std::string plain;
  while (!text.empty()) {
    const auto* found =
        std::find_if(std::begin(kEntities), std::end(kEntities),
                     [&](const auto& entity) { return text.starts_with(entity.first); });
    const bool entity = found != std::end(kEntities);
    plain += entity ? found->second : text.front();
    text.remove_prefix(entity ? found->first.size() : 1);
  }
  return plain;
}

// The value of `href` inside the tag that `text` begins with ("<a ...>"); empty when there is none.
std::string HrefOf(std::string_view tag) {
  constexpr std::string_view kHref = "href=";
  for (size_t at = tag.find(kHref); at != tag.npos; at = tag.find(kHref, at + 1)) {
    if (std::isspace(static_cast<unsigned char>(tag[at - 1])) == 0) continue;
    std::string_view value = tag.substr(at + kHref.size());
    if (value.empty() || (value.front() != '"' && value.front() != '\'')) return {};
    const size_t end = value.find(value.front(), 1);
    if (end == value.npos) return {};
    return Unescape(value.substr(1, end - 1));
  }
  return {};
}

std::string LastSegment(std::string_view url) {
  url = url.substr(0, url.find_first_of("?#"));
  const size_t slash = url.rfind('/');
  return std::string(slash == url.npos ? url : url.substr(slash + 1));
}

std::optional<IndexFile> AsFile(const std::string& reference, std::string filename,
                                const std::string& page_url) {
  const size_t hash = reference.find("#sha256=");
  if (hash == reference.npos) return std::nullopt;
  const std::optional<base::Digest> digest = base::Digest::Parse(reference.substr(hash + 8, 64));
  if (!digest.has_value()) return std::nullopt;
  std::string url = ResolveUrl(page_url, reference.substr(0, reference.find('#')));
  if (url.empty()) return std::nullopt;
  return IndexFile{std::move(filename), std::move(url), *digest, 0};
}

}  // namespace

std::vector<IndexFile> ParseIndexJson(std::string_view page, const std::string& page_url) {
  const nlohmann::json document = nlohmann::json::parse(page, nullptr, false);
  if (!document.is_object() || !document.contains("files") || !document["files"].is_array()) {
    throw base::Error(base::Fault::kInvalid, "reading an index page")
        .Because("it is not the JSON of a package index");
  }
  std::vector<IndexFile> files;
  for (const nlohmann::json& item : document["files"]) {
    if (!item.is_object() || !item.contains("url") || !item["url"].is_string()) continue;
    if (!item.contains("hashes") || !item["hashes"].is_object()) continue;
    const auto hash = item["hashes"].find("sha256");
    if (hash == item["hashes"].end() || !hash->is_string()) continue;
    const std::string url = item["url"];
    const auto name = item.find("filename");
    std::optional<IndexFile> file = AsFile(
        url.substr(0, url.find('#')) + "#sha256=" + hash->get<std::string>(),
        name != item.end() && name->is_string() ? name->get<std::string>() : LastSegment(url),
        page_url);
    if (!file.has_value()) continue;
    const auto size = item.find("size");
    if (size != item.end() && size->is_number_unsigned()) file->size = *size;
    files.push_back(std::move(*file));
  }
  return files;
}

std::vector<IndexFile> ParseIndexHtml(std::string_view page, const std::string& page_url) {
  std::vector<IndexFile> files;
  for (size_t at = page.find("<a"); at != page.npos; at = page.find("<a", at + 1)) {
    const size_t end = page.find('>', at);
    if (end == page.npos) break;
    const std::string reference = HrefOf(page.substr(at, end - at));
    std::optional<IndexFile> file = AsFile(reference, LastSegment(reference), page_url);
    if (file.has_value()) files.push_back(std::move(*file));
  }
  return files;
}

}  // namespace rundlet::rootfs::worker
