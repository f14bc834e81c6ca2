#include "runtime/spec/spec_codec.h"

#include <cereal/archives/binary.hpp>
#include <cereal/types/optional.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/utility.hpp>
#include <cereal/types/variant.hpp>
#include <cereal/types/vector.hpp>
#include <sstream>

#include "base/error.h"
#include "base/frame.h"

namespace rundlet::runtime {

// cereal finds these by argument-dependent lookup.
template <class Archive>
void serialize(Archive& archive, Layers& layers) {
  archive(layers.paths, layers.idmapped, layers.writable);
}
template <class Archive>
void serialize(Archive& archive, StorePath& store) {
  archive(store.path, store.writable, store.idmapped);
}
template <class Archive>
void serialize(Archive& archive, HandedMount& handed) {
  archive(handed.index, handed.writable);
}
template <class Archive>
void serialize(Archive& archive, Scratch& scratch) {
  archive(scratch.mode);
}
template <class Archive>
void serialize(Archive& archive, Skeleton& skeleton) {
  archive(skeleton.directories, skeleton.links);
}
template <class Archive>
void serialize(Archive& archive, Proc& proc) {
  archive(proc.view);
}
template <class Archive>
void serialize(Archive&, Devices&) {}
template <class Archive>
void serialize(Archive& archive, Mount& mount) {
  archive(mount.target, mount.source);
}
template <class Archive>
void serialize(Archive& archive, IdRange& ids) {
  archive(ids.base, ids.count);
}
template <class Archive>
void serialize(Archive& archive, Limits& limits) {
  archive(limits.memory, limits.cpus, limits.pids);
}
template <class Archive>
void serialize(Archive& archive, TerminalSize& size) {
  archive(size.rows, size.columns);
}
template <class Archive>
void serialize(Archive& archive, SandboxSpec& spec) {
  archive(spec.hostname, spec.mounts.mounts, spec.argv, spec.environment, spec.cwd, spec.ids,
          spec.uid, spec.gid, spec.network, spec.privilege, spec.scratch_bytes, spec.limits,
          spec.program_by_descriptor, spec.terminal);
}

namespace {
constexpr uint32_t kVersion = 3;
}

std::string EncodeSpec(const CheckedSpec& spec) {
  std::ostringstream stream;
  cereal::BinaryOutputArchive archive(stream);
  archive(spec.value());
  return base::Seal(base::Format::kSandboxSpec, kVersion, stream.str());
}

SandboxSpec DecodeSpec(std::string_view frame) {
  std::istringstream stream{std::string(base::Unseal(base::Format::kSandboxSpec, kVersion, frame))};
  const auto refuse = [](const std::string& why) {
    return base::Error(base::Fault::kBug, "reading a sandbox spec").Because(why);
  };
  SandboxSpec spec;
  try {
    cereal::BinaryInputArchive archive(stream);
    archive(spec);
  } catch (const std::exception& error) {  // cereal's own, or a length that cannot be allocated
    throw refuse(error.what());
  }
  if (stream.peek() != std::istringstream::traits_type::eof()) throw refuse("bytes follow it");
  return spec;
}

}  // namespace rundlet::runtime
