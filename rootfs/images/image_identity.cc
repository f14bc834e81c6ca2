#include "rootfs/images/image_identity.h"

namespace rundlet::rootfs {

base::Digest InterpreterIdentity(const Image& image) {
  base::Sha256 hash;
  hash.AddField("rundlet interpreter 2");
  for (const base::Digest& layer : image.layers) {
    hash.AddField("layer");
    hash.AddField(layer.hex());
  }
  for (const std::string& variable : image.config.env) {
    hash.AddField("variable");
    hash.AddField(variable);
  }
  return hash.Finish();
}

}  // namespace rundlet::rootfs
