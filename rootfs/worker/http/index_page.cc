#include "rootfs/worker/http/index_page.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "base/url.h"
#include "rootfs/worker/http/fetch_url.h"

namespace rundlet::rootfs::worker {
namespace {

constexpr std::pair<std::string_view, char> kEntities[] = {{"&amp;", '&'},  {"&lt;", '<'},
                                                           {"&gt;", '>'},   {"&quot;", '"'},
                                                           {"&#39;", '\''}, {"&#x27;", '\''}};

std::string Unescape(std::string_view text) {
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

// Where the value of an attribute stands inside the tag that `tag` begins with ("<a ...>"), without
// its quotation marks; empty when it has no value, nothing when there is no such attribute.
std::optional<std::string_view> AttributeIn(std::string_view tag, std::string_view name) {
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
    return rest.substr(1, end - 1);
  }
  return std::nullopt;
}

std::optional<std::string> AttributeOf(std::string_view tag, std::string_view name) {
  const auto value = AttributeIn(tag, name);
  return value.has_value() ? std::optional(Unescape(*value)) : std::nullopt;
}

std::string HrefOf(std::string_view tag) { return AttributeOf(tag, "href").value_or(""); }

// What a page's relative references start from.
std::string BaseOf(std::string_view page, const std::string& page_url) {
  const size_t at = page.find("<base ");
  if (at == page.npos) return page_url;
  const std::string href = HrefOf(page.substr(at, page.find('>', at) - at));
  const std::string url = ResolveUrl(page_url, href);
  return href.empty() || url.empty() ? page_url : url;
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

nlohmann::json ParsePage(std::string_view page) {
  nlohmann::json document = nlohmann::json::parse(page, nullptr, false);
  if (!document.is_object() || !document.contains("files") || !document["files"].is_array()) {
    throw base::Error(base::Fault::kInvalid, "reading an index page")
        .Because("it is not the JSON of a package index");
  }
  return document;
}

// Of a JSON string that begins at `at`: where its closing quotation mark is.
size_t EndOfString(std::string_view page, size_t at) {
  for (size_t end = page.find('"', at + 1); end != page.npos; end = page.find('"', end + 1)) {
    size_t first = end;
    while (page[first - 1] == '\\') --first;
    if ((end - first) % 2 == 0) return end;
  }
  return page.npos;
}

// Whether what follows a key is a colon and a string.
bool IsBeforeString(std::string_view page, size_t at) {
  constexpr std::string_view kSpace = " \t\r\n";
  at = page.find_first_not_of(kSpace, at);
  if (at == page.npos || page[at] != ':') return false;
  at = page.find_first_not_of(kSpace, at + 1);
  return at != page.npos && page[at] == '"';
}

std::string WriteString(const std::string& text) {
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
  });
  if (plain) return '"' + text + '"';
  return nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

// `text` with its quotation marks; empty when it is no JSON string.
std::string ReadString(std::string_view text) {
  if (text.find('\\') == text.npos) return std::string(text.substr(1, text.size() - 2));
  const nlohmann::json value = nlohmann::json::parse(text, nullptr, false);
  return value.is_string() ? value.get<std::string>() : std::string();
}

std::string Absolute(const std::string& reference, const std::string& page_url) {
  if (reference.empty()) return {};
  const bool absolute = reference.starts_with("https://") || reference.starts_with("http://");
  return absolute ? reference : ResolveUrl(page_url, reference);
}

}  // namespace

std::string EscapeHtml(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    const auto* found = std::find_if(std::begin(kEntities), std::end(kEntities),
                                     [c](const auto& entity) { return entity.second == c; });
    escaped += found != std::end(kEntities) ? found->first : std::string_view(&c, 1);
  }
  return escaped;
}

bool IsJsonPage(std::string_view page) { return base::Trim(page).starts_with('{'); }

std::vector<IndexFile> ParseIndexJson(std::string_view page, const std::string& page_url) {
  const nlohmann::json document = ParsePage(page);
  std::vector<IndexFile> files;
  for (const nlohmann::json& item : document["files"]) {
    if (!item.is_object() || !item.contains("url") || !item["url"].is_string()) continue;
    if (!item.contains("hashes") || !item["hashes"].is_object()) continue;
    const auto hash = item["hashes"].find("sha256");
    if (hash == item["hashes"].end() || !hash->is_string()) continue;
    const std::string url = item["url"];
    const auto name = item.find("filename");
    std::optional<IndexFile> file =
        AsFile(url.substr(0, url.find('#')) + "#sha256=" + hash->get<std::string>(),
               name != item.end() && name->is_string() ? name->get<std::string>()
                                                       : base::FilenameOfUrl(url),
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
  const std::string base_url = BaseOf(page, page_url);
  for (size_t at = page.find("<a"); at != page.npos; at = page.find("<a", at + 1)) {
    const size_t end = page.find('>', at);
    if (end == page.npos) break;
    const std::string_view tag = page.substr(at, end - at);
    const std::string reference = HrefOf(tag);
    std::optional<IndexFile> file = AsFile(reference, base::FilenameOfUrl(reference), base_url);
    if (!file.has_value()) continue;
    file->requires_python = AttributeOf(tag, "data-requires-python").value_or("");
    file->yanked = AttributeOf(tag, "data-yanked");
    file->metadata = MetadataDigest(AttributeOf(tag, "data-core-metadata"));
    files.push_back(std::move(*file));
  }
  return files;
}

// Pages have megabytes, of which this changes a part: no document is made of them. What is no JSON
// stays as it is, for its reader to refuse.
std::string RenameInJson(std::string_view page, const std::string& page_url,
                         const RenameFile& rename) {
  std::string renamed;
  renamed.reserve(page.size() * 2);
  size_t copied = 0;
  bool is_address = false;  // the next string is the value of "url"
  for (size_t at = page.find('"'); at != page.npos; at = page.find('"', at + 1)) {
    const size_t end = EndOfString(page, at);
    if (end == page.npos) break;
    const std::string_view text = page.substr(at, end + 1 - at);
    if (is_address) {
      const std::string url = Absolute(ReadString(text), page_url);
      if (const std::string name = url.empty() ? url : rename(url); !name.empty()) {
        renamed += page.substr(copied, at - copied);
        renamed += WriteString(name);
        copied = end + 1;
      }
    }
    is_address = text == "\"url\"" && IsBeforeString(page, end + 1);
    at = end;
  }
  renamed += page.substr(copied);
  return renamed;
}

std::string RenameInHtml(std::string_view page, const std::string& page_url,
                         const RenameFile& rename) {
  const std::string base_url = BaseOf(page, page_url);
  std::string renamed;
  size_t copied = 0;
  for (size_t at = page.find("<a"); at != page.npos; at = page.find("<a", at + 1)) {
    const size_t end = page.find('>', at);
    if (end == page.npos) break;
    const auto href = AttributeIn(page.substr(at, end - at), "href");
    if (!href.has_value() || href->empty()) continue;
    const std::string url = Absolute(Unescape(*href), base_url);
    const auto start = static_cast<size_t>(href->data() - page.data());
    const std::string name = url.empty() ? url : rename(url);
    if (name.empty()) continue;
    renamed += page.substr(copied, start - copied);
    renamed += EscapeHtml(name);
    copied = start + href->size();
  }
  return renamed + std::string(page.substr(copied));
}

}  // namespace rundlet::rootfs::worker
