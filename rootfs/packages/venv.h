// The skeleton of a virtual environment: the lowest layer of every /env.
#pragma once

#include <string>

#include "rootfs/formats/interpreter.h"
#include "store/store.h"

namespace rundlet::rootfs {

// The key of the Kind::kSkeleton entry with pyvenv.cfg, bin/python (a link to the image's
// interpreter), bin/python3, bin/python3.11, lib/python3.11/site-packages and lib64 -> lib; made
// when it is not there. It holds no program: images with the interpreter at the same path share it.
std::string EnsureVenv(store::Store& store, const Interpreter& interpreter);
std::string VenvKey(const Interpreter& interpreter);

}  // namespace rundlet::rootfs
