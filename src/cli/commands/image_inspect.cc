// rundlet image inspect: all that is known of one image.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/text.h"
#include "cli/commands/image_commands.h"
#include "cli/options.h"
#include "cli/terminal/table_text.h"
#include "rootfs/images/image.h"

namespace rundlet::cli {
namespace {

struct InspectedLayer {
  base::Digest diff_id;
  uint64_t bytes = 0;
  uint64_t files = 0;
  bool present = false;
  std::vector<std::string> also_in;  // other images
};

std::vector<InspectedLayer> InspectLayers(store::Store& store, const rootfs::Image& image) {
  const std::vector<rootfs::Image> all = rootfs::ListImages(store);
  std::vector<InspectedLayer> layers;
  for (const base::Digest& diff_id : image.layers) {
    InspectedLayer layer;
    layer.diff_id = diff_id;
    if (const auto info = store.Find(store::Kind::kLayer, diff_id.hex())) {
      layer.present = true;
      layer.bytes = info->bytes;
      layer.files = info->files;
    }
    for (const rootfs::Image& other : all) {
      const bool has =
          std::find(other.layers.begin(), other.layers.end(), diff_id) != other.layers.end();
      if (has && other.name != image.name) layer.also_in.push_back(other.name);
    }
    layers.push_back(std::move(layer));
  }
  return layers;
}

uint64_t AllBytes(const std::vector<InspectedLayer>& layers) {
  uint64_t bytes = 0;
  for (const InspectedLayer& layer : layers) bytes += layer.bytes;
  return bytes;
}

// Of the blobs that were kept for an export; nothing when none were.
std::optional<uint64_t> KeptBytes(store::Store& store, const rootfs::Image& image) {
  if (!image.kept) return std::nullopt;
  uint64_t bytes = 0;
  for (const base::Digest& blob : image.kept->blobs) {
    if (const auto info = store.Find(store::Kind::kBlob, blob.hex())) bytes += info->bytes;
  }
  return bytes;
}

uint64_t SharedBytes(const std::vector<InspectedLayer>& layers) {
  uint64_t bytes = 0;
  for (const InspectedLayer& layer : layers) bytes += layer.also_in.empty() ? 0 : layer.bytes;
  return bytes;
}

nlohmann::ordered_json InspectionJson(const rootfs::Image& image,
                                      const std::vector<InspectedLayer>& layers,
                                      const std::optional<uint64_t>& kept) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const InspectedLayer& layer : layers) {
    list.push_back({{"diff_id", "sha256:" + layer.diff_id.hex()},
                    {"present", layer.present},
                    {"bytes", layer.bytes},
                    {"files", layer.files},
                    {"also_in", layer.also_in}});
  }
  nlohmann::ordered_json origin;
  if (image.origin) {
    origin = {{"reference", image.origin->reference},
              {"digest", "sha256:" + image.origin->top.hex()},
              {"platform", image.origin->platform}};
  }
  const rootfs::ImageConfig& config = image.config;
  const rootfs::Interpreter& python = image.interpreter;
  return {{"name", image.name},
          {"digest", "sha256:" + image.manifest_digest.hex()},
          {"origin", origin},
          {"bytes", AllBytes(layers)},
          {"shared_bytes", SharedBytes(layers)},
          {"kept_blob_bytes", kept ? nlohmann::ordered_json(*kept) : nullptr},
          {"layers", list},
          {"config",
           {{"architecture", config.architecture},
            {"os", config.os},
            {"env", config.env},
            {"user", config.user},
            {"working_dir", config.working_dir},
            {"entrypoint", config.entrypoint},
            {"cmd", config.cmd}}},
          {"interpreter",
           {{"executable", python.executable},
            {"version", python.version},
            {"abi", python.abi},
            {"libc", python.libc},
            {"prefix", python.prefix},
            {"stdlib", python.stdlib},
            {"identity", python.identity.hex()}}}};
}

void PrintFact(const char* label, const std::string& text) {
  if (!text.empty()) fmt::print("{:<12} {}\n", label, base::Printable(text));
}

void PrintInspection(const rootfs::Image& image, const std::vector<InspectedLayer>& layers,
                     const std::optional<uint64_t>& kept) {
  PrintFact("name", image.name);
  PrintFact("digest", "sha256:" + image.manifest_digest.hex());
  if (image.origin) {
    PrintFact("pulled as",
              fmt::format("{} for {}", image.origin->reference, image.origin->platform));
  }
  PrintFact("python", fmt::format("{} at {}, {}", image.interpreter.version,
                                  image.interpreter.executable, image.interpreter.libc));
  PrintFact("identity", image.interpreter.identity.hex());
  PrintFact("platform", image.config.os + "/" + image.config.architecture);
  PrintFact("user", image.config.user);
  PrintFact("directory", image.config.working_dir);
  PrintFact("entrypoint", base::Join(image.config.entrypoint, " "));
  PrintFact("command", base::Join(image.config.cmd, " "));
  for (const std::string& variable : image.config.env) PrintFact("variable", variable);
  PrintFact("size",
            fmt::format("{}, {} of it shared with other images", base::HumanBytes(AllBytes(layers)),
                        base::HumanBytes(SharedBytes(layers))));
  if (kept) PrintFact("kept blobs", base::HumanBytes(*kept) + ", it can be exported");
  TableText table({{"LAYER"}, {"SIZE", Align::kRight}, {"FILES", Align::kRight}, {"ALSO IN"}});
  for (const InspectedLayer& layer : layers) {
    table.AddRow({layer.diff_id.hex().substr(0, 12),
                  layer.present ? base::HumanBytes(layer.bytes) : "missing",
                  std::to_string(layer.files), base::Join(layer.also_in, ", ")});
  }
  fmt::print("{}", table.Render());
}

}  // namespace

void AddImageInspect(CLI::App& image, Context& context) {
  auto* inspect = image.add_subcommand("inspect", "Show all that is known of one image");
  const auto name = std::make_shared<std::string>();
  inspect->add_option("NAME", *name, "The image")->required();
  inspect->callback([name, &context] {
    const std::unique_ptr<engine::Engine> engine = context.OpenEngine();
    const rootfs::Image found = rootfs::FindImage(engine->store(), *name);
    const std::vector<InspectedLayer> layers = InspectLayers(engine->store(), found);
    const std::optional<uint64_t> kept = KeptBytes(engine->store(), found);
    if (context.options.output == Output::kJson) {
      fmt::print("{}\n", InspectionJson(found, layers, kept).dump(2));
    } else {
      PrintInspection(found, layers, kept);
    }
  });
}

}  // namespace rundlet::cli
