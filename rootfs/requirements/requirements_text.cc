#include "rootfs/requirements/requirements_text.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/text.h"

namespace rundlet::rootfs {
namespace {

constexpr size_t kLineLimit = 50'000;

[[noreturn]] void RefuseLine(size_t line, std::string_view what, std::string cause,
                             std::string hint = {}) {
  throw base::Error(base::Fault::kInvalid, fmt::format("reading `{}` in line {}",
                                                       base::Printable(what.substr(0, 200)), line))
      .Because(std::move(cause))
      .Hint(std::move(hint));
}

// A "#" begins a comment at the start of a line or after a blank; elsewhere it is part of a URL.
std::string_view WithoutComment(std::string_view line) {
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '#' && (i == 0 || line[i - 1] == ' ' || line[i - 1] == '\t'))
      return line.substr(0, i);
  }
  return line;
}

// "--name value" or "--name=value", for one of the spellings; empty when it is not that option.
std::string_view ValueOf(std::string_view line, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    if (!line.starts_with(name)) continue;
    const std::string_view rest = line.substr(name.size());
    const bool separate = !rest.empty() && (rest.front() == ' ' || rest.front() == '=' ||
                                            (name.size() == 2 && name[1] != '-'));
    if (separate)
      return base::Trim(rest.substr(rest.front() == ' ' || rest.front() == '=' ? 1 : 0));
  }
  return {};
}

class TextReader {
 public:
  RequirementsText Read(std::string_view text) {
    std::string whole;
    size_t number = 0;
    size_t start = 0;
    for (const std::string& raw : base::Split(text, '\n')) {
      if (++number > kLineLimit) RefuseLine(number, "", "the file has too many lines");
      if (whole.empty()) start = number;
      std::string_view line = WithoutComment(raw);
      if (line.ends_with('\r')) line.remove_suffix(1);
      const bool continued = line.ends_with('\\');
      if (continued) line.remove_suffix(1);
      whole += line;
      if (continued) {
        whole += ' ';
        continue;
      }
      ReadLine(start, base::Trim(whole));
      whole.clear();
    }
    ReadLine(start, base::Trim(whole));
    if (hashed_ != 0 && hashed_ != read_.requirements.size()) {
      RefuseLine(without_hash_, read_.requirements.at(position_without_),
                 "it has no --hash, and others have", "give every requirement its hashes, or none");
    }
    return std::move(read_);
  }

 private:
  void ReadLine(size_t number, std::string_view line) {
    if (line.empty()) return;
    if (line.starts_with('-')) return ReadOption(number, line);
    const size_t options = line.find(" --");
    const std::string_view requirement = base::Trim(line.substr(0, options));
    const size_t before = read_.hashes.size();
    if (options != line.npos) ReadHashes(number, line.substr(options));
    if (read_.hashes.size() != before) {
      ++hashed_;
    } else {
      without_hash_ = number;
      position_without_ = read_.requirements.size();
    }
    read_.requirements.emplace_back(requirement);
  }

  void ReadHashes(size_t number, std::string_view options) {
    for (const std::string& word : base::Split(options, ' ')) {
      if (base::Trim(word).empty()) continue;
      constexpr std::string_view kHash = "--hash=sha256:";
      const auto digest = word.starts_with(kHash)
                              ? base::Digest::Parse(std::string_view(word).substr(kHash.size()))
                              : std::nullopt;
      if (!digest.has_value()) {
        RefuseLine(number, word, "it is not of the form --hash=sha256:..., with 64 hex digits");
      }
      read_.hashes.push_back(*digest);
    }
  }

  void ReadOption(size_t number, std::string_view line) {
    if (const auto file = ValueOf(line, {"-r", "--requirement"}); !file.empty()) {
      read_.includes.emplace_back(file);
      return;
    }
    if (const auto file = ValueOf(line, {"-c", "--constraint"}); !file.empty()) {
      read_.constraints.emplace_back(file);
      return;
    }
    constexpr std::array<std::string_view, 3> kWithoutEffect = {"--require-hashes", "--only-binary",
                                                                "--prefer-binary"};
    if (std::any_of(kWithoutEffect.begin(), kWithoutEffect.end(),
                    [line](std::string_view option) { return line.starts_with(option); })) {
      return;
    }
    if (line.starts_with("-e") || line.starts_with("--editable")) {
      RefuseLine(number, line, "an editable project is a directory, not a package",
                 "build a wheel of it and require that, or mount the directory");
    }
    for (const std::string_view option : {"-i", "--index-url", "--extra-index-url", "-f",
                                          "--find-links", "--trusted-host", "--no-index"}) {
      if (line.starts_with(option)) {
        RefuseLine(number, line, "a project does not choose the package index",
                   "the index is the administrator's: RUNDLET_INDEX");
      }
    }
    RefuseLine(number, line, "this option is not known here");
  }

  RequirementsText read_;
  size_t hashed_ = 0;  // requirements with hashes
  size_t without_hash_ = 0;
  size_t position_without_ = 0;
};

}  // namespace

RequirementsText ParseRequirementsText(std::string_view text) { return TextReader().Read(text); }

}  // namespace rundlet::rootfs
