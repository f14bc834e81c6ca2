#include "base/error.h"

#include <cctype>
#include <cerrno>
#include <cstring>

#include "base/text.h"

namespace rundlet::base {

Error& Error::Because(std::string cause) & {
  chain_.push_back(std::move(cause));
  return *this;
}

Error&& Error::Because(std::string cause) && { return std::move(Because(std::move(cause))); }

Error&& Error::Hint(std::string hint) && {
  hint_ = std::move(hint);
  return std::move(*this);
}

void Error::While(std::string attempted) { chain_.insert(chain_.begin(), std::move(attempted)); }

std::string Error::Render() const {
  std::string text = fmt::format("error: {}\n", Indented(chain_.front()));
  for (size_t i = 1; i < chain_.size(); ++i)
    text += fmt::format("caused by: {}\n", Indented(chain_[i]));
  if (!hint_.empty()) text += fmt::format("hint: {}\n", Indented(hint_));
  return text;
}

std::string ErrnoText(int error_number) {
  char buffer[128];
  std::string text = strerror_r(error_number, buffer, sizeof buffer);
  // The C library writes sentences ("No such file ..."); keep acronyms ("RPC ...") as they are.
  if (text.size() > 1 && std::islower(static_cast<unsigned char>(text[1]))) {
    text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  }
  return text;
}

Error ErrnoError(int error_number, std::string attempted) {
  Error error = Error(Fault::kHost, std::move(attempted)).Because(ErrnoText(error_number));
  if (error_number == ENOSPC || error_number == EDQUOT) {
    error.SetHint(
        "free space on the file system of the state directory, or choose another with --state");
  }
  return error;
}

Error NamedPathError(int error_number, std::string attempted) {
  if (error_number != ENOENT && error_number != ENOTDIR)
    return ErrnoError(error_number, std::move(attempted));
  return Error(Fault::kInvalid, std::move(attempted)).Because(ErrnoText(error_number));
}

void CheckFailed(const char* condition, const char* file, int line) {
  throw Error(Fault::kBug, fmt::format("an internal check failed: `{}`", condition))
      .Because(fmt::format("{}:{}", file, line));
}

}  // namespace rundlet::base
