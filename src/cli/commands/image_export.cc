// rundlet image export: an OCI image layout of what was kept of an image.
#include <fcntl.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/fs.h"
#include "base/text.h"
#include "cli/commands/image_commands.h"
#include "cli/options.h"
#include "cli/terminal/interrupt.h"
#include "cli/terminal/progress.h"
#include "engine/images/export_image.h"

namespace rundlet::cli {
namespace {

engine::ExportRequest ExportRequestOf(const std::string& image, const std::string& path) {
  std::string_view rest = path;
  while (rest.size() > 1 && rest.ends_with('/')) rest.remove_suffix(1);
  const size_t slash = rest.rfind('/');
  const std::string parent = slash == rest.npos ? "." : std::string(rest.substr(0, slash + 1));
  const std::string_view name = slash == rest.npos ? rest : rest.substr(slash + 1);
  return {image, base::OpenHostPath(parent, O_RDONLY | O_DIRECTORY), std::string(name)};
}

void Export(const std::string& name, const std::string& path, const Context& context) {
  engine::ExportRequest request = ExportRequestOf(name, path);
  const std::unique_ptr<engine::Engine> engine = context.OpenEngine();
  engine::ExportedImage done;
  {
    Progress progress(context.options);
    engine::EventBus events(progress.Sink());
    done = engine::ExportImage(*engine, std::move(request), events, &Interrupted());
  }
  if (context.options.output == Output::kJson) {
    fmt::print("{}\n",
               nlohmann::ordered_json{{"name", name},
                                      {"digest", "sha256:" + done.image.manifest_digest.hex()},
                                      {"path", path},
                                      {"blobs", done.exported.blobs},
                                      {"bytes", done.exported.bytes}}
                   .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    fmt::print("{}: {} blobs, {}, in {}\n", name, done.exported.blobs,
               base::HumanBytes(done.exported.bytes), base::Printable(path));
  }
}

}  // namespace

void AddImageExport(CLI::App& image, Context& context) {
  auto* command = image.add_subcommand(
      "export", "Write an image whose blobs were kept as an OCI layout directory");
  const auto name = std::make_shared<std::string>();
  const auto path = std::make_shared<std::string>();
  command->add_option("NAME", *name, "The image")->required();
  command->add_option("PATH", *path, "The directory to make")->required();
  command->callback([name, path, &context] { Export(*name, *path, context); });
}

}  // namespace rundlet::cli
