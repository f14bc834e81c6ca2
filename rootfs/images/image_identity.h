// The identity of an image's interpreter: what keys all that is made with its help and kept.
#pragma once

#include "base/digest.h"
#include "rootfs/images/image.h"

namespace rundlet::rootfs {

// Over the whole image: what of it takes part when its Python starts is for nobody to tell who has
// not made it (ADR 68).
base::Digest InterpreterIdentity(const Image& image);

}  // namespace rundlet::rootfs
