#include "engine/run/read_table.h"

#include <fcntl.h>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "data/tables/tables.h"
#include "engine/locks/resolver.h"
#include "engine/packages/environments.h"
#include "engine/run/step.h"

namespace rundlet::engine {
namespace {

using base::Error;
using base::Fault;

data::Table ChooseTable(Engine& engine, const std::string& name) {
  std::vector<data::Table> matches;
  std::vector<std::string> known;
  for (data::Table& table : data::ListTables(engine.store())) {
    known.push_back(table.name);
    if (table.name == name || table.project + "/" + table.name == name)
      matches.push_back(std::move(table));
  }
  if (matches.size() == 1) return matches.front();
  Error error(Fault::kInvalid, fmt::format("looking for table `{}`", base::Printable(name)));
  if (matches.size() > 1) {
    throw std::move(error)
        .Because(fmt::format("{} projects have one", matches.size()))
        .Hint(fmt::format("say which: `{}/{}`", matches.front().project, name));
  }
  const std::string closest = base::ClosestWord(name, known);
  throw std::move(error)
      .Because("there is none")
      .Hint(closest.empty() ? "`rundlet table ls` lists them"
                            : fmt::format("did you mean `{}`?", closest));
}

// Any image whose Python has the engine's packages will do; the newest name first for a stable
// choice.
rootfs::Image AnyImage(Engine& engine) {
  const std::vector<rootfs::Image> images = rootfs::ListImages(engine.store());
  if (!images.empty()) return images.front();
  throw Error(Fault::kInvalid, "reading a table")
      .Because("there is no image to read it in")
      .Hint("import one with `rundlet image import NAME PATH`");
}

}  // namespace

Preview ReadHead(Engine& engine, const std::string& name, unsigned rows, EventBus& events,
                 const base::CancelToken* cancel) {
  const data::Table chosen = ChooseTable(engine, name);
  const rootfs::Image image = AnyImage(engine);
  const Resolution resolution =
      ResolveShipped(engine, image, "sql-requirements.txt", events, cancel);
  const ReadyEnvironment ready = EnsureEnvironment(engine, image, resolution.lock, events, cancel);
  // Only now: until here another run may have replaced it.
  std::optional<data::OpenedTable> opened =
      data::OpenTable(engine.store(), chosen.project, chosen.name);
  if (!opened.has_value()) {
    throw Error(Fault::kHost, fmt::format("reading table `{}`", chosen.name))
        .Because("it was removed while it was wanted");
  }
  const data::Table& table = opened->table;
  const StepSource source = {
      .files = std::move(opened->files), .table = table.name, .format = "parquet"};
  StepUsage usage;
  const StepResult result = RunStep(engine,
                                    {.kind = "head",
                                     .label = table.name,
                                     .image = &image,
                                     .environment = &ready.environment,
                                     .source = &source,
                                     .limit = rows},
                                    {}, cancel, usage);
  return {table.name, result.columns, result.preview, table.rows()};
}

}  // namespace rundlet::engine
