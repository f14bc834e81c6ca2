#include "engine/images/interpreter.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "engine/core/capture.h"
#include "engine/sandbox/image_sandbox.h"
#include "engine/sandbox/wanted_limits.h"
#include "rootfs/images/image_identity.h"

namespace rundlet::engine {
namespace {

using base::Error;
using base::Fault;
using nlohmann::json;

constexpr size_t kAnswerLimit = 16 << 10;

// Isolated and without site: nothing but the interpreter and its standard library takes part.
constexpr const char* kQuestion = R"(
import json, os, sys, sysconfig
try:
    libc = os.confstr("CS_GNU_LIBC_VERSION")
except (ValueError, OSError, AttributeError):
    libc = None
print(json.dumps({
    "executable": os.path.realpath(sys.executable),
    "version": "%d.%d.%d" % sys.version_info[:3],
    "implementation": sys.implementation.cache_tag,
    "libc": libc or "musl",
    "prefix": sys.base_prefix,
    "stdlib": os.path.realpath(sysconfig.get_path("stdlib")),
}))
)";

[[noreturn]] void Refuse(const rootfs::Image& image, const std::string& why) {
  throw Error(Fault::kInvalid, fmt::format("looking for Python in image `{}`", image.name))
      .Because(why);
}

bool IsAbsolutePlain(const std::string& path) {
  return path.starts_with('/') && base::IsPlainRelative(std::string_view(path).substr(1));
}

std::string Field(const rootfs::Image& image, const json& answer, const char* name) {
  const auto field = answer.find(name);
  if (field == answer.end() || !field->is_string())
    Refuse(image, fmt::format("its python3 does not tell its {}", name));
  const auto text = field->get<std::string>();
  const bool clean =
      !text.empty() && text.size() < 512 &&
      std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (!clean) Refuse(image, fmt::format("its python3 tells an impossible {}", name));
  return text;
}

std::string PathField(const rootfs::Image& image, const json& answer, const char* name) {
  std::string path = Field(image, answer, name);
  if (!IsAbsolutePlain(path))
    Refuse(image, fmt::format("its python3 tells an impossible {}: `{}`", name, path));
  return path;
}

// "3.11.2" and nothing else.
bool IsVersion(const std::string& text) {
  const std::vector<std::string> parts = base::Split(text, '.');
  return parts.size() == 3 && std::all_of(parts.begin(), parts.end(), [](const std::string& part) {
           return !part.empty() && part.size() <= 3 &&
                  std::all_of(part.begin(), part.end(),
                              [](char c) { return c >= '0' && c <= '9'; });
         });
}

json Ask(Engine& engine, const rootfs::Image& image, const base::CancelToken* cancel) {
  const ImageSandbox sandbox(engine, image);
  runtime::SandboxSpec spec = sandbox.Spec();
  spec.argv = {"python3", "-I", "-S", "-B", "-c", kQuestion};
  LimitForeignCode(engine, spec);
  const runtime::CheckedSpec checked = runtime::CheckSpec(std::move(spec));
  std::string answer;
  Tail errors(2048);
  const base::UniqueFd nothing = base::MemoryFile("empty", "");
  const auto keep = [&answer](std::string_view line) {
    if (answer.size() < kAnswerLimit) answer += line;
  };
  CapturedOutcome outcome;
  try {
    outcome = RunCaptured(engine.launcher(), {.spec = &checked, .standard_input = nothing.get()},
                          {.standard_output = keep,
                           .standard_error = [&](std::string_view line) { errors.AddLine(line); },
                           .timeout = ForeignTime(engine)},
                          cancel);
  } catch (const runtime::ProgramError&) {
    throw Error(Fault::kInvalid, fmt::format("looking for Python in image `{}`", image.name))
        .Because("it has no python3 on its PATH")
        .Hint("use an image that holds Python, such as one made by scripts/python-image");
  }
  RequireInTime(engine, outcome, fmt::format("asking python3 of image `{}`", image.name));
  if (outcome.end != runtime::Outcome::End::kExited || outcome.code != 0) {
    Refuse(image, fmt::format("its python3 fails: {}",
                              StruckLimit(checked.value(), outcome)
                                  .value_or(base::Printable(base::Trim(errors.text())))));
  }
  json document = json::parse(answer, nullptr, false);
  if (!document.is_object())
    Refuse(image, "its python3 answers with something else than was asked");
  return document;
}

}  // namespace

rootfs::Interpreter ProbeInterpreter(Engine& engine, const rootfs::Image& image,
                                     const base::CancelToken* cancel) {
  const json answer = Ask(engine, image, cancel);
  rootfs::Interpreter interpreter;
  interpreter.executable = PathField(image, answer, "executable");
  interpreter.version = Field(image, answer, "version");
  interpreter.libc = Field(image, answer, "libc");
  interpreter.prefix = PathField(image, answer, "prefix");
  interpreter.stdlib = PathField(image, answer, "stdlib");
  if (!IsVersion(interpreter.version)) Refuse(image, "its python3 tells an impossible version");
  const std::vector<std::string> version = base::Split(interpreter.version, '.');
  interpreter.tag = version[0] + "." + version[1];
  interpreter.abi = "cp" + version[0] + version[1];
  const std::string implementation = Field(image, answer, "implementation");
  if (implementation != "cpython-" + version[0] + version[1]) {
    Refuse(image, fmt::format("its python3 is `{}`; only CPython is supported", implementation));
  }
  interpreter.identity = rootfs::InterpreterIdentity(image);
  return interpreter;
}

}  // namespace rundlet::engine
