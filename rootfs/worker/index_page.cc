#include "rootfs/worker/index_page.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/error.h"
#include "rootfs/fetch.h"
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

// The value of an attribute inside the tag that `tag` begins with ("<a ...>"); nothing when it has
// none.
std::optional<std::string> AttributeOf(std::string_view tag, std::string_view name) {
  for (size_t at = tag.find(name); at != tag.npos; at = tag.find(name, at + 1)) {
    std::string_view rest = tag.substr(at + name.size());
    if (std::isspace(static_cast<unsigned char>(tag[at - 1])) == 0) continue;
    if (!rest.starts_with('=')) {
      if (rest.empty() || std::isspace(static_cast<unsigned char>(rest.front())) != 0) return "";
      continue;  // a longer name
    }
    rest.remove_prefix(1);
    if (rest.empty() || (rest.front() != '"' && rest.front() != '\'')) return std::nullopt;
    const size_t end = rest.find(rest.front(), 1);
    if (end == rest.npos) return std::nullopt;
    return Unescape(rest.substr(1, end - 1));
  }
  return std::nullopt;
}

std::optional<IndexFile> AsFile(const std::string& reference, std::string filename,
                                const std::string& page_url) {
  const size_t hash = reference.find("#sha256=");
  if (hash == reference.npos) return std::nullopt;
  const std::optional<base::Digest> digest = base::Digest::Parse(reference.substr(hash + 8, 64));
  if (!digest.has_value()) return std::nullopt;
  std::string url = ResolveUrl(page_url, reference.substr(0, reference.find('#')));
  if (url.empty()) return std::nullopt;
  return IndexFile{.filename = std::move(filename), .url = std::move(url), .sha256 = *digest};
}

// "sha256=<hex>"; other values ("true") say that there is one, and nothing to check it by.
std::optional<base::Digest> MetadataDigest(const std::optional<std::string>& text) {
  constexpr std::string_view kPrefix = "sha256=";
  if (!text.has_value() || !text->starts_with(kPrefix)) return std::nullopt;
  return base::Digest::Parse(text->substr(kPrefix.size()));
}

void AddNotes(const nlohmann::json& item, IndexFile& file) {
  const auto text = [](const nlohmann::json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : "";
  };
  file.requires_python = text(item, "requires-python");
  if (const auto yanked = item.find("yanked"); yanked != item.end()) {
    if (yanked->is_string() || (yanked->is_boolean() && yanked->get<bool>()))
      file.yanked = text(item, "yanked");
  }
  if (const auto metadata = item.find("core-metadata");
      metadata != item.end() && metadata->is_object()) {
    file.metadata = base::Digest::Parse(text(*metadata, "sha256"));
  }
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
        name != item.end() && name->is_string() ? name->get<std::string>() : FilenameOfUrl(url),
        page_url);
    if (!file.has_value()) continue;
    const auto size = item.find("size");
    if (size != item.end() && size->is_number_unsigned()) file->size = *size;
    AddNotes(item, *file);
    files.push_back(std::move(*file));
  }
  return files;
}

std::vector<IndexFile> ParseIndexHtml(std::string_view page, const std::string& page_url) {
  std::vector<IndexFile> files;
  for (size_t at = page.find("<a"); at != page.npos; at = page.find("<a", at + 1)) {
    const size_t end = page.find('>', at);
    if (end == page.npos) break;
    const std::string_view tag = page.substr(at, end - at);
    const std::string reference = AttributeOf(tag, "href").value_or("");
    std::optional<IndexFile> file = AsFile(reference, FilenameOfUrl(reference), page_url);
    if (!file.has_value()) continue;
    file->requires_python = AttributeOf(tag, "data-requires-python").value_or("");
    file->yanked = AttributeOf(tag, "data-yanked");
    file->metadata = MetadataDigest(AttributeOf(tag, "data-core-metadata"));
    files.push_back(std::move(*file));
  }
  return files;
}

}  // namespace rundlet::rootfs::worker
