// rundlet image: pull, import, ls, tag, rm; the others have files of their own.
#include "rootfs/images/image.h"

#include <fcntl.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "cli/commands/image_commands.h"
#include "cli/options.h"
#include "cli/options/registry_login.h"
#include "cli/terminal/interrupt.h"
#include "cli/terminal/progress.h"
#include "cli/terminal/table_text.h"
#include "engine/images/import_image.h"
#include "engine/images/pull_image.h"

namespace rundlet::cli {
namespace {

std::map<std::string, uint64_t> LayerBytes(store::Store& store) {
  std::map<std::string, uint64_t> bytes;
  for (const store::EntryInfo& layer : store.List(store::Kind::kLayer))
    bytes[layer.key] = layer.bytes;
  return bytes;
}

uint64_t BytesOf(const rootfs::Image& image, const std::map<std::string, uint64_t>& layers) {
  uint64_t bytes = 0;
  for (const base::Digest& layer : image.layers) {
    const auto found = layers.find(layer.hex());
    if (found != layers.end()) bytes += found->second;
  }
  return bytes;
}

struct ImportOptions {
  std::string name;
  std::string path;
  bool keep_blobs = false;
};

rootfs::KeepBlobs Keeping(bool keep_blobs) {
  return keep_blobs ? rootfs::KeepBlobs::kYes : rootfs::KeepBlobs::kNo;
}

void Import(const ImportOptions& options, const Context& context) {
  // Opened before anything else: a typing error should not cost a wait.
  rootfs::ImportRequest request{options.name, base::OpenHostPath(options.path, O_RDONLY),
                                Keeping(options.keep_blobs)};
  const std::unique_ptr<engine::Engine> engine = context.OpenEngine();
  rootfs::Image image;
  {
    Progress progress(context.options);
    engine::EventBus events(progress.Sink());
    image = engine::ImportImage(*engine, std::move(request), events, &Interrupted());
  }
  if (context.options.output == Output::kJson) {
    fmt::print("{}\n", nlohmann::ordered_json{{"name", image.name},
                                              {"digest", "sha256:" + image.manifest_digest.hex()},
                                              {"layers", image.layers.size()},
                                              {"python", image.interpreter.version}}
                           .dump());
  } else {
    fmt::print("{}: Python {} ({}), {} layers\n", image.name, image.interpreter.version,
               image.interpreter.executable, image.layers.size());
  }
}

struct PullOptions {
  std::string reference;
  std::string platform;
  bool plain_http = false;
  bool keep_blobs = false;
};

engine::PullRequest RequestOf(const PullOptions& options, const engine::Config& config) {
  const rootfs::Reference reference = rootfs::ParseReference(options.reference);
  engine::PullRequest request;
  request.name = rootfs::ShortName(reference);
  request.keep = Keeping(options.keep_blobs);
  if (!options.platform.empty()) {
    const std::optional<rootfs::Platform> platform = rootfs::ParsePlatform(options.platform);
    if (!platform) {
      throw base::Error(base::Fault::kInvalid,
                        fmt::format("reading platform `{}`", base::Printable(options.platform)))
          .Because("it is not of the form OS/ARCHITECTURE[/VARIANT], such as `linux/amd64`");
    }
    request.platform = *platform;
  }
  request.sources = engine::SourcesOf(config, reference,
                                      options.plain_http ? rootfs::RegistryTransport::kPlainHttp
                                                         : rootfs::RegistryTransport::kHttps);
  for (engine::PullSource& source : request.sources) {
    source.login = FindRegistryLogin(source.reference);
  }
  return request;
}

void Pull(const PullOptions& options, const Context& context) {
  const engine::PullRequest request = RequestOf(options, context.ReadConfig());
  const std::unique_ptr<engine::Engine> engine = context.OpenEngine();
  engine::Pulled pulled;
  {
    Progress progress(context.options);
    engine::EventBus events(progress.Sink());
    pulled = engine::PullImage(*engine, request, events, &Interrupted());
  }
  const rootfs::Image& image = pulled.image;
  const bool unchanged = pulled.result == rootfs::PullResult::kUnchanged;
  if (context.options.output == Output::kJson) {
    fmt::print("{}\n", nlohmann::ordered_json{{"name", image.name},
                                              {"digest", "sha256:" + image.manifest_digest.hex()},
                                              {"layers", image.layers.size()},
                                              {"python", image.interpreter.version},
                                              {"unchanged", unchanged}}
                           .dump());
  } else {
    fmt::print("{}: Python {} ({}), {} layers{}\n", image.name, image.interpreter.version,
               image.interpreter.executable, image.layers.size(), unchanged ? ", nothing new" : "");
  }
}

void ListImages(const Context& context) {
  const std::unique_ptr<engine::Engine> engine = context.OpenEngine();
  const std::map<std::string, uint64_t> layers = LayerBytes(engine->store());
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  TableText table({{"IMAGE"},
                   {"PYTHON"},
                   {"LIBC"},
                   {"LAYERS", Align::kRight},
                   {"SIZE", Align::kRight},
                   {"DIGEST"}});
  for (const rootfs::Image& image : rootfs::ListImages(engine->store())) {
    const uint64_t bytes = BytesOf(image, layers);
    list.push_back({{"name", image.name},
                    {"python", image.interpreter.version},
                    {"interpreter", image.interpreter.executable},
                    {"identity", image.interpreter.identity.hex()},
                    {"libc", image.interpreter.libc},
                    {"layers", image.layers.size()},
                    {"bytes", bytes},
                    {"digest", "sha256:" + image.manifest_digest.hex()}});
    table.AddRow({image.name, image.interpreter.version, image.interpreter.libc,
                  std::to_string(image.layers.size()), base::HumanBytes(bytes),
                  image.manifest_digest.hex().substr(0, 12)});
  }
  if (context.options.output == Output::kJson) {
    fmt::print("{}\n", list.dump(2));
  } else if (list.empty()) {
    std::fputs(
        "no images; take one with `rundlet image pull REF` or `rundlet image import NAME PATH`\n",
        stderr);
  } else {
    fmt::print("{}", table.Render());
  }
}

}  // namespace

void AddImage(CLI::App& program, Context& context) {
  auto* image =
      program.add_subcommand("image", "Images: pull, import, export, ls, inspect, tag, rm")
          ->require_subcommand(1);
  auto* pull = image->add_subcommand("pull", "Take an image from a registry");
  const auto options = std::make_shared<PullOptions>();
  pull->add_option("REF", options->reference,
                   "What to take: [REGISTRY/]REPOSITORY[:TAG][@sha256:DIGEST]")
      ->required();
  pull->add_option("--platform", options->platform,
                   "OS/ARCHITECTURE[/VARIANT] (default: this host's)");
  pull->add_flag("--plain-http", options->plain_http, "The registry speaks http, not https");
  constexpr const char* kKeep = "Keep the blobs as they came, too, so that it can be exported";
  pull->add_flag("--keep-blobs", options->keep_blobs, kKeep);
  pull->callback([options, &context] { Pull(*options, context); });
  auto* take = image->add_subcommand(
      "import", "Take an OCI layout directory, an OCI archive or a docker archive");
  const auto what = std::make_shared<ImportOptions>();
  take->add_option("NAME", what->name, "What to call the image here")->required();
  take->add_option("PATH", what->path, "Directory or archive")->required();
  take->add_flag("--keep-blobs", what->keep_blobs, kKeep);
  take->callback([what, &context] { Import(*what, context); });
  AddImageExport(*image, context);
  image->add_subcommand("ls", "List images")->callback([&context] { ListImages(context); });
  AddImageInspect(*image, context);
  auto* tag = image->add_subcommand("tag", "Give an image one more name");
  const auto old_name = std::make_shared<std::string>();
  const auto new_name = std::make_shared<std::string>();
  tag->add_option("NAME", *old_name, "The image")->required();
  tag->add_option("OTHER", *new_name, "The name to add; taken from another image that has it")
      ->required();
  tag->callback([old_name, new_name, &context] {
    rootfs::TagImage(context.OpenEngine()->store(), *old_name, *new_name);
  });
  auto* remove = image->add_subcommand("rm", "Forget images; `rundlet gc` frees their space");
  const auto names = std::make_shared<std::vector<std::string>>();
  remove->add_option("NAME", *names, "The images")->required();
  remove->callback([names, &context] {
    const std::unique_ptr<engine::Engine> engine = context.OpenEngine();
    for (const std::string& one : *names) rootfs::RemoveImage(engine->store(), one);
  });
}

}  // namespace rundlet::cli
