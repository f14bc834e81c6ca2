// entry_points.txt: the commands a distribution brings ("entry points specification").
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rundlet::rootfs {

// One console or GUI script: `name = module:attribute`. On Linux both kinds are the same.
struct EntryPointScript {
  std::string name;       // of the file in bin/
  std::string module;     // dotted identifiers
  std::string attribute;  // dotted identifiers
  bool operator==(const EntryPointScript&) const = default;
};

// The scripts of [console_scripts] and [gui_scripts], sorted by name; other sections are plug-in
// data, left to importlib.metadata. Throws base::Error (kInvalid) naming the line for what
// configparser or the specification would not take in these two sections, and for names that could
// not be files of bin/.
std::vector<EntryPointScript> ParseEntryPoints(std::string_view text);

// The file written to bin/ for it, with `python` in its first line.
std::string ScriptText(const EntryPointScript& script, std::string_view python);

}  // namespace rundlet::rootfs
