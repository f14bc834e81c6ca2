// A sandbox spec of hostile values: refused in words, or one that survives its codec and keeps what
// CheckSpec promises. The input is read twice: as an encoded spec, and as lines like those in
// corpus/spec.
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "runtime/spec/sandbox_spec.h"
#include "runtime/spec/spec_codec.h"
#include "tests/fuzz/check.h"

namespace {

using namespace rundlet::runtime;  // NOLINT(build/namespaces): a program of a few functions
using rundlet::fuzz::Require;

// 0 for what is no number; negative ones and large ones wrap, as an attacker would like.
uint64_t Number(const std::string& text) {
  uint64_t value = 0;
  const size_t sign = text.starts_with('-') ? 1 : 0;
  std::from_chars(text.data() + sign, text.data() + text.size(), value);
  return sign != 0 ? 0 - value : value;
}

MountSource SourceOf(const std::vector<std::string>& words) {
  const std::string kind = words.size() > 2 ? words[2] : "";
  const std::vector<std::string> rest(words.begin() + std::min<ptrdiff_t>(3, std::ssize(words)),
                                      words.end());
  const std::string first = rest.empty() ? "" : rest.front();
  if (kind == "layers") return Layers{rest, true, true};
  if (kind == "store") return StorePath{first, true};
  if (kind == "handed") return HandedMount{static_cast<uint32_t>(Number(first))};
  if (kind == "scratch") return Scratch{static_cast<uint32_t>(Number(first))};
  if (kind == "proc") return Proc{};
  if (kind == "devices") return Devices{};
  Skeleton skeleton;
  for (const std::string& word : rest) {
    skeleton.directories.push_back(word);
    skeleton.links.emplace_back(word, first);
  }
  return skeleton;
}

void ReadLine(const std::string& line, SandboxSpec& spec) {
  const std::vector<std::string> words = rundlet::base::Split(line, ' ');
  const std::string& field = words.front();
  const std::string value = words.size() > 1 ? line.substr(field.size() + 1) : "";
  const std::string first = words.size() > 1 ? words[1] : "";
  const std::string second = words.size() > 2 ? words[2] : "";
  if (field == "hostname") spec.hostname = value;
  if (field == "argv") spec.argv.push_back(value);
  if (field == "env") spec.environment.emplace_back(first, second);
  if (field == "cwd") spec.cwd = value;
  if (field == "scratch") spec.scratch_bytes = Number(value);
  if (field == "memory") spec.limits.memory = Number(value);
  if (field == "cpus") spec.limits.cpus = static_cast<uint32_t>(Number(value));
  if (field == "pids") spec.limits.pids = static_cast<uint32_t>(Number(value));
  if (field == "mount") spec.mounts.mounts.push_back({first, SourceOf(words)});
  if (field == "user") {
    spec.uid = static_cast<uint32_t>(Number(first));
    spec.gid = static_cast<uint32_t>(Number(second));
  }
  if (field == "ids") {
    spec.ids = {static_cast<uint32_t>(Number(first)), static_cast<uint32_t>(Number(second))};
  }
}

void RequirePlain(const std::string& path) {
  Require(path == "/" || (path.starts_with('/') && rundlet::base::IsPlainRelative(path.substr(1))));
}

void RequirePromises(const SandboxSpec& spec) {
  Require(spec.mounts.mounts.front().target == "/");
  for (const Mount& mount : spec.mounts.mounts) {
    RequirePlain(mount.target);
    if (const auto* layers = std::get_if<Layers>(&mount.source)) {
      Require(!layers->paths.empty() && layers->paths.size() <= 500);
      for (const std::string& path : layers->paths) Require(rundlet::base::IsPlainRelative(path));
    }
    if (const auto* store = std::get_if<StorePath>(&mount.source)) {
      Require(rundlet::base::IsPlainRelative(store->path));
    }
  }
  RequirePlain(spec.cwd);
  const uint64_t end = uint64_t{spec.ids.base} + spec.ids.count;
  Require(spec.ids.base >= 65'536 && end <= UINT32_MAX);
  Require(spec.uid < spec.ids.count && spec.gid < spec.ids.count);
  // 0 would mean "none" to the kernel, or "nothing at all".
  Require(spec.limits.memory.value_or(1) > 0 && spec.limits.memory.value_or(1) <= INT64_MAX);
  Require(spec.limits.cpus.value_or(1) > 0 && spec.limits.pids.value_or(1) > 0);
  Require(!spec.argv.empty());
  for (const std::string& word : spec.argv) Require(word.find('\0') == word.npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    DecodeSpec(text);
    std::abort();  // nobody finds a SHA-256 by trying
  } catch (const rundlet::base::Error&) {
  }
  try {
    SandboxSpec spec;
    for (const std::string& line : rundlet::base::Split(text, '\n')) ReadLine(line, spec);
    const CheckedSpec checked = CheckSpec(std::move(spec));
    RequirePromises(checked.value());
    Require(DecodeSpec(EncodeSpec(checked)) == checked.value());
    Require(!Describe(checked.value().mounts).empty());
  } catch (const rundlet::base::Error& error) {
    Require(error.fault() == rundlet::base::Fault::kInvalid);
  }
  return 0;
}
