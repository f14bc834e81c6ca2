#include "engine/project/reader.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "engine/core/kept_document.h"
#include "engine/core/toml.h"
#include "engine/locks/resolver.h"
#include "engine/packages/environments.h"
#include "engine/packages/own_modules.h"
#include "engine/sandbox/image_program.h"
#include "plans/invalid_pipeline.h"
#include "plans/read/read_pipeline.h"
#include "plans/read/reader_protocol.h"

namespace rundlet::engine {
namespace {

using base::Error;
using base::Fault;
using nlohmann::json;

constexpr size_t kDocumentLimit = 64 << 20;

std::string ReadToml(Engine& engine, const Project& project, const base::CancelToken* cancel) {
  if (project.toml.empty()) return {};
  try {
    return ParseToml(engine, project.toml, cancel);
  } catch (Error& error) {
    if (error.fault() == Fault::kInvalid) error.While("reading `rundlet.toml`");
    throw;
  }
}

// The image whose Python reads the project: that of the project's default version, else the first
// that is named.
std::string ReaderImage(const std::string& toml) {
  const json document = toml.empty() ? json::object() : json::parse(toml, nullptr, false);
  const json data = document.is_object() ? document.value("data", json::object()) : json::object();
  const auto images = data.find("images");
  if (images == data.end() || !images->is_object() || images->empty()) {
    plans::CheckProject(toml);
    throw plans::InvalidPipeline(
        {{.file = "rundlet.toml",
          .message = "the project names no image",
          .cause = "steps have no Python to run on",
          .hint = "add a table such as `[images]` with `\"3.11\" = \"python-3.11\"`; "
                  "`rundlet image ls` lists what is there"}});
  }
  std::string wanted;
  if (const auto python = data.find("python"); python != data.end() && python->is_object()) {
    if (const auto version = python->find("version");
        version != python->end() && version->is_string()) {
      wanted = version->get<std::string>();
    }
  }
  const auto chosen = images->contains(wanted) ? images->find(wanted) : images->begin();
  // No name of an image at all: nothing can be found wrong with it later.
  if (!chosen->is_string() || chosen->get_ref<const std::string&>().empty())
    plans::CheckProject(toml);
  return chosen->get<std::string>();
}

std::string RunReader(Engine& engine, const Project& project, const rootfs::Image& image,
                      EventBus& events, const base::CancelToken* cancel) {
  const Resolution resolution =
      ResolveShipped(engine, image, "reader-requirements.txt", events, cancel);
  const ReadyEnvironment ready = EnsureEnvironment(engine, image, resolution.lock, events, cancel);
  const store::Staging work = engine.store().NewStaging();
  WriteProject(project, work.tree());

  std::vector<std::string> paths;
  for (const ProjectFile& file : project.files) paths.push_back(file.path);
  ImageProgram program = {
      .root = &image,
      .command = {.argv = {"/env/bin/python", "-I", "-B", "/rundlet/python/rundlet_reader"},
                  .input = plans::MakeReaderRequest(paths),
                  .mounts = {rootfs::EnvironmentMount(ready.environment),
                             {"/work", runtime::StorePath{work.tree_path()}}},
                  .cwd = "/work"},
      .limits = ForeignLimits{fmt::format("reading project `{}`", project.root)},
      .output_limit = kDocumentLimit,
      .line_limit = kDocumentLimit,
  };
  AddOwnModules(engine, image, program.handed, cancel);
  ProgramEnd end = RunProgram(engine, std::move(program), cancel);
  if (end.Succeeded()) return std::move(end.output);
  throw Error(Fault::kInvalid, fmt::format("reading project `{}`", project.root))
      .Because(fmt::format("the reader ended with {} {}: {}",
                           end.end == runtime::Outcome::End::kExited ? "code" : "signal", end.code,
                           base::Printable(base::Trim(end.errors + end.limit.value_or("")))));
}

}  // namespace

plans::Pipeline ReadProject(Engine& engine, const Project& project, EventBus& events,
                            const base::CancelToken* cancel) {
  const std::string toml = ReadToml(engine, project, cancel);
  const rootfs::Image image = rootfs::FindImage(engine.store(), ReaderImage(toml));
  base::Sha256 key;
  key.AddField(RUNDLET_VERSION);
  key.AddField(image.interpreter.identity.hex());
  key.AddField(DigestOf(project).hex());
  const KeptDocument kept(engine, "reader", key.Finish());
  std::optional<std::string> document = kept.Find();
  if (!document.has_value()) {
    Report(events, project.name, "read",
           [&](Event&) { document = RunReader(engine, project, image, events, cancel); });
    kept.Keep(*document);
  }
  return plans::ReadPipeline(*document, toml);
}

}  // namespace rundlet::engine
