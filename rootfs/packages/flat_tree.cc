#include "rootfs/packages/flat_tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "store/tree_walk.h"

namespace rundlet::rootfs {
namespace {

constexpr std::string_view kFlatVersion = "1";

// All but the skeleton.
std::vector<std::string> PackagesOf(const Environment& environment) {
  return {environment.lowers.begin(), environment.lowers.end() - 1};
}

std::string FolderOfPath(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

std::string NameOfPath(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// A layer's files are told by their inodes: the links of them must be these.
struct ReadLayer {
  base::UniqueFd tree;
  std::vector<LayerPath> paths;
  std::map<std::string, ino_t> files;
};

ReadLayer Read(int state, const std::string& path) {
  ReadLayer layer;
  layer.tree = base::OpenAt(state, path, O_RDONLY | O_DIRECTORY);
  store::WalkTree(layer.tree.get(), [&](const store::TreeNode& node) {
    if (node.depth == 0) return;
    const bool directory = S_ISDIR(node.info.st_mode);
    if (!directory && !S_ISREG(node.info.st_mode)) {
      throw base::Error(base::Fault::kBug, fmt::format("putting `{}` together", path))
          .Because(
              fmt::format("`{}` is neither a file nor a directory", base::Printable(node.path)));
    }
    layer.paths.push_back({node.path, directory});
    if (!directory) layer.files.emplace(node.path, node.info.st_ino);
  });
  return layer;
}

// Files come in order of their paths: those of one directory follow each other.
class FlatWriter {
 public:
  FlatWriter(int tree, const std::vector<ReadLayer>& layers) : tree_(tree), layers_(layers) {}

  void Add(const std::string& path, const FlatPath& from) {
    if (from.is_directory) {
      if (mkdirat(tree_, path.c_str(), 0755) < 0) base::ThrowErrno("making `{}`", path);
      return;
    }
    const std::string folder = FolderOfPath(path);
    if (!to_.valid() || folder != folder_) {
      folder_ = folder;
      to_ = base::OpenAt(tree_, folder.empty() ? "." : folder, O_PATH | O_DIRECTORY);
      from_.clear();
    }
    const std::string name = NameOfPath(path);
    if (linkat(SourceFolder(from.layer), name.c_str(), to_.get(), name.c_str(), 0) < 0)
      base::ThrowErrno("linking `{}`", base::Printable(path));
  }

 private:
  int SourceFolder(size_t layer) {
    const auto found = from_.find(layer);
    if (found != from_.end()) return found->second.get();
    base::UniqueFd opened = base::OpenAt(layers_[layer].tree.get(), folder_.empty() ? "." : folder_,
                                         O_PATH | O_DIRECTORY);
    return from_.emplace(layer, std::move(opened)).first->second.get();
  }

  int tree_;
  const std::vector<ReadLayer>& layers_;
  std::string folder_;
  base::UniqueFd to_;
  std::map<size_t, base::UniqueFd> from_;  // the same directory in the layers
};

// What is there against what an overlay would show: the same paths, and the very files.
void CheckListing(int tree, const std::map<std::string, FlatPath>& merged,
                  const std::vector<ReadLayer>& layers) {
  const auto refuse = [](const std::string& path) {
    throw base::Error(base::Fault::kBug, "putting an environment together on disk")
        .Because(fmt::format("`{}` is not what its packages hold", base::Printable(path)));
  };
  size_t seen = 0;
  store::WalkTree(tree, [&](const store::TreeNode& node) {
    if (node.depth == 0) return;
    ++seen;
    const auto found = merged.find(node.path);
    if (found == merged.end() || found->second.is_directory != S_ISDIR(node.info.st_mode))
      refuse(node.path);
    if (!found->second.is_directory &&
        layers[found->second.layer].files.at(node.path) != node.info.st_ino) {
      refuse(node.path);
    }
  });
  if (seen != merged.size()) refuse("a path");
}

void MakeFlat(store::Store& store, const Environment& environment,
              const base::CancelToken* cancel) {
  std::vector<ReadLayer> layers;
  std::vector<std::vector<LayerPath>> paths;
  for (const std::string& path : PackagesOf(environment)) {
    if (cancel != nullptr) cancel->ThrowIfCancelled();
    layers.push_back(Read(store.dir(), path));
    paths.push_back(std::move(layers.back().paths));
  }
  const std::map<std::string, FlatPath> merged = MergeLayers(paths);
  store::Staging staging = store.NewStaging();
  FlatWriter writer(staging.tree(), layers);
  for (const auto& [path, from] : merged) {
    if (from.is_directory) writer.Add(path, from);
  }
  for (const auto& [path, from] : merged) {
    if (!from.is_directory) writer.Add(path, from);
  }
  if (cancel != nullptr) cancel->ThrowIfCancelled();
  store::Normalise(staging.tree());
  CheckListing(staging.tree(), merged, layers);
  const store::Manifest manifest = store::ManifestOf(staging.tree());
  store::EntryInfo info;
  info.kind = store::Kind::kEnvironment;
  info.key = FlatKey(environment);
  info.name = fmt::format("{} packages", layers.size());
  info.meta = nlohmann::json({{"version", 1}, {"layers", PackagesOf(environment)}}).dump();
  info.output = manifest.digest();
  info.bytes = manifest.bytes;
  info.files = manifest.files;
  store.Commit(std::move(staging), std::move(info));
}

}  // namespace

std::map<std::string, FlatPath> MergeLayers(const std::vector<std::vector<LayerPath>>& layers) {
  std::map<std::string, FlatPath> merged;
  std::set<std::string> closed;  // directories into which no lower layer reaches any more
  for (size_t i = 0; i < layers.size(); ++i) {
    std::set<std::string> hidden = closed;  // directories of this layer that are not seen
    std::vector<std::string> closing;
    for (const LayerPath& one : layers[i]) {
      const auto [there, is_new] = hidden.contains(FolderOfPath(one.path))
                                       ? std::pair(merged.end(), false)
                                       : merged.emplace(one.path, FlatPath{i, one.is_directory});
      if (is_new) continue;
      const bool joins = there != merged.end() && there->second.is_directory;
      if (one.is_directory && !joins) hidden.insert(one.path);
      if (!one.is_directory && joins) closing.push_back(one.path);
    }
    closed.insert(closing.begin(), closing.end());
  }
  return merged;
}

std::string FlatKey(const Environment& environment) {
  base::Sha256 hash;
  hash.AddField("flat environment");
  hash.AddField(kFlatVersion);
  for (const std::string& layer : PackagesOf(environment)) hash.AddField(layer);
  return hash.Finish().hex();
}

Environment Flatten(store::Store& store, const Environment& environment,
                    const base::CancelToken* cancel) {
  const std::string key = FlatKey(environment);
  if (!store.Find(store::Kind::kEnvironment, key).has_value()) {
    const store::Lease make = store.Make(store::Kind::kEnvironment, key, cancel);
    if (!store.Find(store::Kind::kEnvironment, key).has_value())
      MakeFlat(store, environment, cancel);
  }
  Environment flat = environment;
  flat.lowers = {store::Store::PathOf(store::Kind::kEnvironment, key), environment.lowers.back()};
  return flat;
}

std::vector<std::string> LayersOf(const store::EntryInfo& flat) {
  const nlohmann::json meta = nlohmann::json::parse(flat.meta, nullptr, false);
  if (!meta.is_object() || !meta.contains("layers") || !meta["layers"].is_array()) return {};
  std::vector<std::string> layers;
  for (const nlohmann::json& layer : meta["layers"]) {
    if (layer.is_string()) layers.push_back(layer.get<std::string>());
  }
  return layers;
}

}  // namespace rundlet::rootfs
