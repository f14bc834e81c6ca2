#include "rootfs/images/image.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/fs.h"
#include "base/json/fields.h"
#include "base/text.h"
#include "rootfs/formats/oci_document.h"
#include "rootfs/images/image_blobs.h"

namespace rundlet::rootfs {
namespace {

using nlohmann::json;

constexpr char kFolder[] = "images";
constexpr std::string_view kSuffix = ".json";
constexpr uint64_t kVersion = 1;
constexpr size_t kImageNameLimit = 200;
constexpr size_t kRecordLimit = size_t{8} << 20;

// A name's slashes must not make folders, and "%" is in no name.
std::string FileOf(std::string_view name) {
  std::string file;
  for (const char c : name) c == '/' ? file += "%2f" : file += c;
  return file.append(kSuffix);
}

std::string NameOfFile(std::string_view file) {
  std::string name(file.substr(0, file.size() - kSuffix.size()));
  for (size_t at = name.find("%2f"); at != name.npos; at = name.find("%2f", at)) {
    name.replace(at, 3, "/");
  }
  return name;
}

json ToJson(const Interpreter& interpreter) {
  if (interpreter.executable.empty()) return nullptr;
  return {{"executable", interpreter.executable},
          {"version", interpreter.version},
          {"tag", interpreter.tag},
          {"abi", interpreter.abi},
          {"libc", interpreter.libc},
          {"prefix", interpreter.prefix},
          {"stdlib", interpreter.stdlib}};
}

Interpreter InterpreterFrom(const base::Fields& fields) {
  return {
      fields.Text("executable"), fields.Text("version"), fields.Text("tag"),    fields.Text("abi"),
      fields.Text("libc"),       fields.Text("prefix"),  fields.Text("stdlib"), {}};
}

json ToJson(const std::optional<ImageOrigin>& origin) {
  if (!origin) return nullptr;
  return {
      {"reference", origin->reference}, {"top", origin->top.hex()}, {"platform", origin->platform}};
}

json ToJson(const std::optional<KeptBlobs>& kept) {
  if (!kept) return nullptr;
  json blobs = json::array();
  for (const base::Digest& blob : kept->blobs) blobs.push_back(blob.hex());
  return {{"manifest_type", kept->manifest_type}, {"blobs", blobs}};
}

KeptBlobs KeptBlobsFrom(const base::Fields& fields, const base::DocumentOrigin& origin) {
  KeptBlobs kept{fields.Text("manifest_type", 256), {}};
  // The layers, the manifest and the config.
  for (const json& blob : fields.List("blobs", kMaxLayers + 2)) {
    kept.blobs.push_back(DigestOf(blob, origin));
  }
  return kept;
}

// Every name a record is kept under; files of other forms (a replacement in the making) are none.
std::vector<std::string> KnownNames(store::Store& store) {
  std::vector<std::string> names;
  if (!base::ExistsAt(store.dir(), kFolder)) return names;
  for (const base::DirEntry& entry : base::ListDir(store.dir(), kFolder)) {
    if (entry.name.ends_with(kSuffix) && !entry.name.starts_with('.')) {
      names.push_back(NameOfFile(entry.name));
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

base::Error NoSuchImage(store::Store& store, std::string attempted, const std::string& name) {
  const std::vector<std::string> names = KnownNames(store);
  base::Error error(base::Fault::kInvalid, std::move(attempted));
  if (names.empty()) {
    return std::move(error)
        .Because("there are no images yet")
        .Hint("add one with `rundlet image pull` or `rundlet image import`");
  }
  const std::string closest = base::ClosestWord(name, names);
  if (!closest.empty()) {
    return std::move(error)
        .Because("there is no image of that name")
        .Hint(fmt::format("did you mean `{}`? others are added with `rundlet image import`",
                          closest));
  }
  std::vector<std::string> shown = names;
  if (shown.size() > 10) shown.resize(10);
  return std::move(error)
      .Because(fmt::format("there is no image of that name; there are: {}{}",
                           base::Join(shown, ", "), names.size() > shown.size() ? ", ..." : ""))
      .Hint("add it with `rundlet image import`");
}

}  // namespace

base::Digest InterpreterIdentity(const Image& image) {
  base::Sha256 hash;
  hash.AddField("rundlet interpreter 2");
  for (const base::Digest& layer : image.layers) {
    hash.AddField("layer");
    hash.AddField(layer.hex());
  }
  for (const std::string& variable : image.config.env) {
    hash.AddField("variable");
    hash.AddField(variable);
  }
  return hash.Finish();
}

void CheckImageName(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  const bool fits = !name.empty() && name.size() <= kImageNameLimit && letter(name.front()) &&
                    std::all_of(name.begin(), name.end(), [&](char c) {
                      return letter(c) || (c >= 'A' && c <= 'Z') ||
                             std::string_view("._/:@-").find(c) != std::string_view::npos;
                    });
  // The file's name is longer than the image's when there are slashes in it.
  if (fits && FileOf(name).size() <= kImageNameLimit + 40) return;
  throw base::Error(base::Fault::kInvalid, fmt::format("using `{}` as an image name",
                                                       base::Printable(name.substr(0, 100))))
      .Because(
          "a name starts with a lower-case letter or a digit, goes on with letters, digits and "
          "`._/:@-`, and has at most 200 bytes");
}

std::string EncodeImage(const Image& image) {
  json layers = json::array();
  for (const base::Digest& layer : image.layers) layers.push_back(layer.hex());
  const json record = {{"version", kVersion},
                       {"name", image.name},
                       {"manifest", image.manifest_digest.hex()},
                       {"layers", layers},
                       {"config", ToJson(image.config)},
                       {"origin", ToJson(image.origin)},
                       {"kept", ToJson(image.kept)},
                       {"interpreter", ToJson(image.interpreter)}};
  return record.dump(1) + "\n";
}

Image DecodeImage(const std::string& text, const std::string& name) {
  const base::DocumentOrigin origin{fmt::format("reading the record of image `{}`", name),
                                    base::Fault::kHost};
  const json record = base::ParseJson(text, origin);
  const base::Fields fields(record, origin);
  if (fields.Number("version") != kVersion) {
    throw fields.Refuse(fmt::format("it is of version {}, this is rundlet {}",
                                    fields.Number("version"), RUNDLET_VERSION));
  }
  Image image;
  image.name = fields.Text("name");
  if (image.name != name) throw fields.Refuse("it is of another image");
  image.manifest_digest = fields.DigestAt("manifest");
  for (const json& layer : fields.List("layers", kMaxLayers)) {
    image.layers.push_back(DigestOf(layer, origin));
  }
  if (!fields.Has("config")) throw fields.Refuse("`config` is missing");
  image.config = ImageConfigFromJson(record.at("config"), origin);
  if (fields.Has("origin")) {
    const base::Fields origin_fields = fields.Object("origin");
    image.origin = {origin_fields.Text("reference"), origin_fields.DigestAt("top"),
                    origin_fields.Text("platform")};
  }
  if (fields.Has("kept")) image.kept = KeptBlobsFrom(fields.Object("kept"), origin);
  if (fields.Has("interpreter")) {
    image.interpreter = InterpreterFrom(fields.Object("interpreter"));
    image.interpreter.identity = InterpreterIdentity(image);
  }
  return image;
}

void SaveImage(store::Store& store, const Image& image) {
  CheckImageName(image.name);
  base::MakeDirs(store.dir(), kFolder, 0700);
  base::ReplaceAt(store.dir(), fmt::format("{}/{}", kFolder, FileOf(image.name)),
                  EncodeImage(image), 0600, base::Durability::kSynced);
}

std::optional<Image> TryFindImage(store::Store& store, const std::string& name) {
  CheckImageName(name);
  const std::string path = fmt::format("{}/{}", kFolder, FileOf(name));
  const std::optional<base::UniqueFd> file = base::TryOpenAt(store.dir(), path, O_RDONLY);
  if (!file) return std::nullopt;
  return DecodeImage(base::ReadFd(file->get(), kRecordLimit, fmt::format("`{}`", path)), name);
}

Image FindImage(store::Store& store, const std::string& name) {
  if (std::optional<Image> image = TryFindImage(store, name)) return *std::move(image);
  throw NoSuchImage(store, fmt::format("looking for image `{}`", name), name);
}

std::vector<Image> ListImages(store::Store& store) {
  std::vector<Image> images;
  for (const std::string& name : KnownNames(store)) {
    // Not one that was removed since it was listed.
    if (std::optional<Image> image = TryFindImage(store, name)) images.push_back(*std::move(image));
  }
  return images;
}

void RemoveImage(store::Store& store, const std::string& name) {
  CheckImageName(name);
  const std::string attempted = fmt::format("removing image `{}`", name);
  if (!base::ExistsAt(store.dir(), kFolder)) throw NoSuchImage(store, attempted, name);
  const base::UniqueFd folder = base::OpenAt(store.dir(), kFolder, O_RDONLY | O_DIRECTORY);
  if (unlinkat(folder.get(), FileOf(name).c_str(), 0) < 0) {
    if (errno == ENOENT) throw NoSuchImage(store, attempted, name);
    base::ThrowErrno("removing image `{}`", name);
  }
  if (fsync(folder.get()) < 0) base::ThrowErrno("removing image `{}`", name);
}

void TagImage(store::Store& store, const std::string& name, const std::string& other) {
  CheckImageName(other);
  Image image = FindImage(store, name);
  // Held until the new record is there: the old one may be removed meanwhile, and its layers with
  // it.
  std::vector<store::Lease> leases;
  for (const base::Digest& layer : image.layers) {
    leases.push_back(store.Use(store::Kind::kLayer, layer.hex()));
    if (store.Find(store::Kind::kLayer, layer.hex())) continue;
    throw base::Error(base::Fault::kHost, fmt::format("naming image `{}` `{}`", name, other))
        .Because(fmt::format("its layer `sha256:{}` is not in the store", layer.hex()))
        .Hint("pull or import it again");
  }
  if (image.kept) {
    for (store::Lease& lease : HoldBlobs(store, *image.kept)) leases.push_back(std::move(lease));
  }
  image.name = other;
  SaveImage(store, image);
}

std::vector<runtime::Mount> ImageMounts(const Image& image, const std::string& skeleton_key,
                                        runtime::ProcView proc) {
  runtime::Layers layers;
  layers.idmapped = true;
  layers.writable = true;
  layers.paths.push_back(store::Store::PathOf(store::Kind::kSkeleton, skeleton_key));
  for (auto layer = image.layers.rbegin(); layer != image.layers.rend(); ++layer) {
    // Overlayfs refuses the same directory twice, and an image may have a layer twice: only the
    // upper one shows.
    std::string path = store::Store::PathOf(store::Kind::kLayer, layer->hex());
    if (std::find(layers.paths.begin(), layers.paths.end(), path) == layers.paths.end()) {
      layers.paths.push_back(std::move(path));
    }
  }
  return {{"/", std::move(layers)},
          {"/proc", runtime::Proc{proc}},
          {"/dev", runtime::Devices{}},
          {"/tmp", runtime::Scratch{}}};
}

runtime::Mount BareImageMount(const Image& image) {
  const std::vector<runtime::Mount> mounts =
      ImageMounts(image, base::Digest().hex(), runtime::ProcView::kOwnProcesses);
  runtime::Layers layers = std::get<runtime::Layers>(mounts.front().source);
  layers.paths.erase(layers.paths.begin());
  layers.writable = false;
  return {"/image", std::move(layers)};
}

}  // namespace rundlet::rootfs
