// The private bytes of a SandboxSpec between engine and launcher: cereal in a checked frame
// (base/frame.h).
#pragma once

#include <string>
#include <string_view>

#include "runtime/spec/sandbox_spec.h"

namespace rundlet::runtime {

std::string EncodeSpec(const CheckedSpec& spec);
// Throws base::Error (kBug) on anything that EncodeSpec did not write.
SandboxSpec DecodeSpec(std::string_view frame);

}  // namespace rundlet::runtime
