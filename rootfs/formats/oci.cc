#include "rootfs/formats/oci.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace rundlet::rootfs {
namespace {

base::Error RefuseChoice(std::string why) {
  return base::Error(base::Fault::kInvalid, "choosing an image").Because(std::move(why));
}

// Variants name instruction sets beyond the base one, except for the base one's own names.
bool RunsHere(const Platform& platform) {
  const Platform host = HostPlatform();
  return platform.os == host.os && platform.architecture == host.architecture &&
         (platform.variant.empty() || platform.variant == host.variant);
}

bool IsCalled(const std::string& ref_name, const std::string& name) {
  const size_t colon = name.rfind(':');
  return ref_name == name || (colon != name.npos && ref_name == name.substr(colon + 1)) ||
         ref_name.ends_with("/" + name);
}

std::string Listed(std::vector<std::string> names) {
  for (std::string& name : names) name = "`" + base::Printable(name.substr(0, 100)) + "`";
  if (names.size() > 10) {
    names.resize(10);
    names.push_back("...");
  }
  return base::Join(names, ", ");
}

}  // namespace

Platform HostPlatform() {
#if defined(__x86_64__)
  return {"linux", "amd64", "v1"};
#elif defined(__aarch64__)
  return {"linux", "arm64", "v8"};
#else
#error "which platform do images call this architecture?"
#endif
}

std::string NameOf(const Platform& platform) {
  return platform.os + "/" + platform.architecture +
         (platform.variant.empty() ? "" : "/" + platform.variant);
}

std::optional<Platform> ParsePlatform(std::string_view text) {
  const std::vector<std::string> parts = base::Split(text, '/');
  if (parts.size() < 2 || parts.size() > 3 || text.size() > 100) return std::nullopt;
  for (const std::string& part : parts) {
    const bool fits = !part.empty() && std::all_of(part.begin(), part.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    });
    if (!fits) return std::nullopt;
  }
  return Platform{parts[0], parts[1], parts.size() == 3 ? parts[2] : ""};
}

std::string StartDirectory(const ImageConfig& config) {
  if (!config.working_dir.starts_with('/')) return "/";
  std::vector<std::string> parts;
  for (std::string& part : base::Split(config.working_dir, '/')) {
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else if (!part.empty() && part != ".") {
      parts.push_back(std::move(part));
    }
  }
  return "/" + base::Join(parts, "/");
}

DocumentKind KindOfMediaType(std::string_view media_type) {
  if (media_type == "application/vnd.oci.image.index.v1+json" ||
      media_type == "application/vnd.docker.distribution.manifest.list.v2+json") {
    return DocumentKind::kIndex;
  }
  if (media_type == "application/vnd.oci.image.manifest.v1+json" ||
      media_type == "application/vnd.docker.distribution.manifest.v2+json") {
    return DocumentKind::kManifest;
  }
  if (media_type == "application/vnd.oci.image.config.v1+json" ||
      media_type == "application/vnd.docker.container.image.v1+json") {
    return DocumentKind::kConfig;
  }
  return CompressionOfMediaType(media_type).empty() ? DocumentKind::kOther : DocumentKind::kLayer;
}

std::string_view CompressionOfMediaType(std::string_view media_type) {
  constexpr std::array<std::string_view, 4> kStems = {
      "application/vnd.oci.image.layer.v1.tar",
      "application/vnd.oci.image.layer.nondistributable.v1.tar",
      "application/vnd.docker.image.rootfs.diff.tar",
      "application/vnd.docker.image.rootfs.foreign.diff.tar",
  };
  for (const std::string_view stem : kStems) {
    if (!media_type.starts_with(stem)) continue;
    const std::string_view rest = media_type.substr(stem.size());
    if (rest.empty()) return "none";
    if (rest == "+gzip" || rest == ".gzip") return "gzip";
    if (rest == "+zstd" || rest == ".zstd") return "zstd";
  }
  return "";
}

const Descriptor& ChooseManifest(const Index& index, const std::string& name) {
  std::vector<const Descriptor*> fitting;
  std::vector<const Descriptor*> unsaid;
  std::vector<std::string> platforms;
  for (const Descriptor& manifest : index.manifests) {
    const DocumentKind kind = KindOfMediaType(manifest.media_type);
    if (kind != DocumentKind::kIndex && kind != DocumentKind::kManifest) continue;
    if (!manifest.platform) {
      unsaid.push_back(&manifest);
    } else if (RunsHere(*manifest.platform)) {
      fitting.push_back(&manifest);
    } else {
      platforms.push_back(NameOf(*manifest.platform));
    }
  }
  if (fitting.empty()) fitting = unsaid;
  if (fitting.empty()) {
    throw RefuseChoice(platforms.empty()
                           ? "the index names no image"
                           : fmt::format("it is for {}, not for {}", Listed(platforms),
                                         NameOf({"linux", HostPlatform().architecture, ""})));
  }
  for (const Descriptor* manifest : fitting) {
    if (!manifest->ref_name.empty() && IsCalled(manifest->ref_name, name)) return *manifest;
  }
  std::set<base::Digest> different;
  std::vector<std::string> names;
  for (const Descriptor* manifest : fitting) {
    if (!different.insert(manifest->digest).second) continue;
    names.push_back(manifest->ref_name.empty() ? manifest->digest.hex() : manifest->ref_name);
  }
  if (different.size() > 1) {
    throw RefuseChoice(fmt::format("it holds several images: {}", Listed(names)))
        .Hint("import it under the name of one of them");
  }
  return *fitting.front();
}

const Descriptor& ChooseForPlatform(const Index& index, const Platform& platform) {
  // The base instruction set goes by two names.
  const auto variant = [&](const Platform& one) {
    return one.variant == HostPlatform().variant ? std::string() : one.variant;
  };
  const Descriptor* found = nullptr;
  std::vector<std::string> platforms;
  for (const Descriptor& manifest : index.manifests) {
    const DocumentKind kind = KindOfMediaType(manifest.media_type);
    if (kind != DocumentKind::kIndex && kind != DocumentKind::kManifest) continue;
    if (!manifest.platform) {
      if (found == nullptr) found = &manifest;
      continue;
    }
    platforms.push_back(NameOf(*manifest.platform));
    if (manifest.platform->os != platform.os ||
        manifest.platform->architecture != platform.architecture) {
      continue;
    }
    if (variant(*manifest.platform) == variant(platform)) return manifest;
    if (variant(*manifest.platform).empty() && (found == nullptr || !found->platform)) {
      found = &manifest;
    }
  }
  if (found != nullptr) return *found;
  throw RefuseChoice(platforms.empty() ? "the index names no image"
                                       : fmt::format("it is for {}, not for {}", Listed(platforms),
                                                     NameOf(platform)));
}

const DockerImage& ChooseImage(const std::vector<DockerImage>& images, const std::string& name) {
  std::vector<std::string> names;
  for (const DockerImage& image : images) {
    for (const std::string& tag : image.tags) {
      if (IsCalled(tag, name)) return image;
      names.push_back(tag);
    }
  }
  if (images.size() == 1) return images.front();
  if (images.empty()) throw RefuseChoice("its manifest names no image");
  throw RefuseChoice(fmt::format("it holds several images: {}", Listed(names)))
      .Hint("import it under the name of one of them");
}

void CheckPlatform(const ImageConfig& config) {
  if (RunsHere({config.os, config.architecture, ""})) return;
  throw RefuseChoice(fmt::format("it is for `{}`, not for {}",
                                 base::Printable(NameOf({config.os, config.architecture, ""})),
                                 NameOf({"linux", HostPlatform().architecture, ""})));
}

}  // namespace rundlet::rootfs
