// Texts around registries: references, WWW-Authenticate, files with credentials, helpers' answers.
// Refused in words, or read as something that means the same when it is written again.
//
// Input: the kind of text on the first line, then the text.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "rootfs/formats/reference.h"
#include "rootfs/images/registry_config.h"
#include "rootfs/worker/http/auth_challenge.h"
#include "tests/fuzz/check.h"

namespace {

using namespace rundlet::rootfs;  // NOLINT(build/namespaces): a program of one function
using rundlet::fuzz::Require;

void ReadOne(std::string_view kind, std::string_view text) {
  if (kind == "reference") {
    const Reference reference = ParseReference(text);
    Require(ParseReference(ShortName(reference)) == reference);
    Require(ApiHost(reference).find_first_of("/@ \n") == std::string::npos);
  } else if (kind == "challenge") {
    for (const worker::Challenge& challenge : worker::ParseChallenges(text)) {
      Require(!challenge.scheme.empty());
    }
  } else if (kind == "config") {
    const LoginSource found = FindLogin(text, "config.json", ParseReference("a.example/b/c"));
    if (const auto* helper = std::get_if<CredentialHelper>(&found)) {
      Require(!helper->name.empty() && helper->name.find('/') == std::string::npos);
    }
  } else if (kind == "helper") {
    ParseHelperAnswer(text, "docker-credential-x");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t line = input.find('\n');
  if (line == input.npos) return 0;
  try {
    ReadOne(input.substr(0, line), input.substr(line + 1));
  } catch (const rundlet::base::Error& error) {
    Require(error.fault() == rundlet::base::Fault::kInvalid);
    Require(error.Render().find('\x1b') == std::string::npos);
  }
  return 0;
}
