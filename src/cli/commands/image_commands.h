// The commands below `rundlet image` that have a file of their own.
#pragma once

namespace CLI {
class App;
}

namespace rundlet::cli {

struct Context;

void AddImageExport(CLI::App& image, Context& context);
void AddImageInspect(CLI::App& image, Context& context);

}  // namespace rundlet::cli
