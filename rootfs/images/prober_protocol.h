// What an image's Python is asked when the image comes, and what its answer says.
// engine/images/prober runs it.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "rootfs/formats/interpreter.h"
#include "rootfs/images/image.h"
#include "rootfs/program_command.h"

namespace rundlet::rootfs {

// Asks the python3 on the image's PATH; the answer is a document on standard output.
ProgramCommand MakeProbeCommand();

// Checks every field of the answer. Throws base::Error (kInvalid) when the image has no usable
// Python.
Interpreter ReadProbeAnswer(const Image& image, std::string_view answer);

// kInvalid.
base::Error NoPython(const Image& image, std::string why);

}  // namespace rundlet::rootfs
