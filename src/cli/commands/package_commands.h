// The sub-commands of `rundlet package` beside `ls`: one file each.
#pragma once

#include "cli/options.h"

namespace rundlet::cli {

void AddPackageWhy(CLI::App& package, Context& context);
void AddPackageVerify(CLI::App& package, Context& context);
void AddPackagePrune(CLI::App& package, Context& context);

}  // namespace rundlet::cli
