#include "plans/read/reader_protocol.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "base/fs.h"
#include "plans/read/document.h"
#include "plans/read/filter.h"
#include "plans/shown_text.h"

namespace rundlet::plans {
namespace {

using nlohmann::json;

constexpr uint64_t kReaderVersion = 1;
constexpr size_t kMaxSteps = 10'000;  // models and expectations, each
constexpr size_t kMaxErrors = 10'000;
constexpr size_t kMaxEntries = 1'000;   // inputs, parameters, requirements, variables of a step
constexpr size_t kMaxColumns = 10'000;  // of an input
constexpr size_t kMaxImports = 10'000;
constexpr size_t kMaxReaderWord =
    1'024;  // bytes of an argument, a column, a module: names not ours
constexpr size_t kMaxReaderPath = 4'096;
constexpr size_t kMaxQuery = 4'194'304;      // bytes of a query or a docstring's line
constexpr size_t kMaxEnvironment = 131'072;  // bytes of a step's variables: execve has limits
constexpr size_t kMaxDocColumns = 200;
constexpr double kMaxCpus = 4'096;
constexpr uint64_t kMaxMemory = uint64_t{1} << 62;
constexpr uint64_t kMaxPids = 1 << 22;
constexpr double kMaxTimeout = 366 * 86'400;  // seconds
constexpr uint64_t kMaxRetries = 100;

template <typename Word, size_t kCount>
Word OneOf(const json& object, const char* key, const std::array<Word, kCount>& words) {
  const std::string text = TextMember(object, key, kMaxReaderWord);
  for (const Word word : words) {
    if (NameOf(word) == text) return word;
  }
  BadShape(key, "is no word of the protocol");
}

std::string WordMember(const json& object, const char* key) {
  std::string word = TextMember(object, key, kMaxReaderWord);
  if (word.empty()) BadShape(key, "is empty");
  return word;
}

std::optional<std::vector<std::string>> ColumnsOf(const json& input) {
  if (OptionalMember(input, "columns") == nullptr) return std::nullopt;
  std::vector<std::string> columns =
      AsTexts(ListMember(input, "columns", kMaxColumns), "columns", kMaxReaderWord);
  if (std::set(columns.begin(), columns.end()).size() != columns.size()) {
    BeyondLimit("columns", "names a column twice");
  }
  return columns;
}

// Reads one model or expectation. Throws BadField.
class StepReader {
 public:
  StepReader(const json& object, bool expectation) : object_(object), expectation_(expectation) {}

  DeclaredStep Read() {
    ReadWhat();
    ReadInputs();
    ReadParameters();
    ReadPython();
    ReadImports();
    ReadEnvironment();
    step_.materialize =
        OneOf(object_, "materialize",
              std::array{Materialize::kNone, Materialize::kReplace, Materialize::kAppend});
    ReadNetwork();
    if (expectation_ && step_.materialize != Materialize::kNone)
      BadShape("materialize", "is set on an expectation");
    ReadLimits();
    return std::move(declared_);
  }

 private:
  void ReadWhat() {
    const StepKind kind = OneOf(object_, "kind", std::array{StepKind::kPython, StepKind::kSql});
    if (expectation_ && kind != StepKind::kPython)
      BadShape("kind", "of an expectation is not python");
    step_.kind = expectation_ ? StepKind::kExpectation : kind;
    if (kind == StepKind::kSql) {
      step_.sql = TextMember(object_, "sql", kMaxQuery);
    } else {
      step_.function = WordMember(object_, "function");
    }
    const auto name = StepName::Parse(TextMember(object_, "name", kMaxReaderWord));
    if (!name) BeyondLimit("name", "is not letters, digits and underscores, at most 128");
    step_.name = *name;
    step_.place = {TextMember(object_, "file", kMaxReaderPath), LineMember(object_, "line")};
    if (!base::IsPlainRelative(step_.place.file)) BadShape("file", "is not inside the project");
    step_.doc =
        Cut(OneLine(OptionalTextMember(object_, "doc", kMaxQuery).value_or("")), kMaxDocColumns);
    const auto code = base::Digest::Parse(TextMember(object_, "code", kMaxReaderWord));
    if (!code) BadShape("code", "is not a SHA-256");
    step_.code = *code;
  }

  void ReadInputs() {
    std::set<std::string> arguments;
    for (const json& object : ListMember(object_, "inputs", kMaxEntries)) {
      Input input;
      input.argument = WordMember(object, "argument");
      if (!arguments.insert(input.argument).second) BadShape("argument", "is there twice");
      input.columns = ColumnsOf(object);
      if (const json* filter = OptionalMember(object, "filter")) {
        CheckedFilter checked = CheckFilter(*filter);
        input.filter = std::move(checked.text);
        input.filter_columns = std::move(checked.columns);
      }
      input.filter_text = OptionalTextMember(object, "filter_text", kMaxQuery).value_or("");
      input.line = LineMember(object, "line");
      step_.inputs.push_back(std::move(input));
      declared_.input_names.push_back(WordMember(object, "model"));
    }
  }

  void ReadParameters() {
    std::set<std::string> arguments;
    for (const json& object : ListMember(object_, "parameters", kMaxEntries)) {
      ParameterUse use;
      use.argument = WordMember(object, "argument");
      if (!arguments.insert(use.argument).second) BadShape("argument", "is there twice");
      use.line = LineMember(object, "line");
      step_.parameters.push_back(std::move(use));
      declared_.parameter_names.push_back(WordMember(object, "name"));
    }
  }

  void ReadPython() {
    const json& python = Member(object_, "python");
    declared_.version = OptionalTextMember(python, "version", kMaxReaderWord);
    if (declared_.version && !IsPythonVersion(*declared_.version)) {
      BeyondLimit("version", "is not a Python version such as 3.11");
    }
    declared_.image = OptionalTextMember(python, "image", kMaxReaderWord);
    if (OptionalMember(python, "pip") == nullptr) return;
    declared_.pip = AsTexts(ListMember(python, "pip", kMaxEntries), "pip", kMaxReaderWord);
    for (const std::string& requirement : *declared_.pip) {
      const std::string fault = FaultOfRequirement(requirement);
      if (!fault.empty())
        BeyondLimit("pip", fmt::format("holds `{}`, which {}", requirement, fault));
    }
  }

  void ReadImports() {
    for (const json& object : ListMember(object_, "imports", kMaxImports)) {
      step_.imports.push_back({WordMember(object, "name"), LineMember(object, "line")});
    }
    std::sort(step_.imports.begin(), step_.imports.end(), [](const Import& a, const Import& b) {
      return std::tie(a.name, a.line) < std::tie(b.name, b.line);
    });
  }

  void ReadEnvironment() {
    size_t bytes = 0;
    for (const auto& [name, value] : ObjectMember(object_, "env", kMaxEntries).items()) {
      if (!IsIdentifier(name))
        BeyondLimit("env", "has a name that is not letters, digits and underscores");
      std::string text = AsText(value, "env", kMaxEnvironment);
      bytes += name.size() + text.size();
      if (bytes > kMaxEnvironment)
        BeyondLimit("env", fmt::format("is longer than {} bytes", kMaxEnvironment));
      step_.environment.emplace(name, std::move(text));
    }
  }

  void ReadNetwork() {
    const auto network = ParseNetwork(TextMember(object_, "network", kMaxQuery));
    if (!network) BadShape("network", "is no network of the protocol");
    step_.network = *network;
  }

  void ReadLimits() {
    step_.limits.cpus = OptionalNumberMember(object_, "cpus", kMaxCpus);
    if (OptionalMember(object_, "memory"))
      step_.limits.memory = WholeMember(object_, "memory", 1, kMaxMemory);
    if (OptionalMember(object_, "pids"))
      step_.limits.pids = static_cast<uint32_t>(WholeMember(object_, "pids", 1, kMaxPids));
    if (OptionalMember(object_, "disk"))
      step_.limits.disk = WholeMember(object_, "disk", 1, kMaxMemory);
    step_.limits.timeout = OptionalNumberMember(object_, "timeout", kMaxTimeout);
    step_.limits.retries = static_cast<uint32_t>(WholeMember(object_, "retries", 0, kMaxRetries));
  }

  const json& object_;
  const bool expectation_;
  DeclaredStep declared_;
  Step& step_ = declared_.step;
};

base::Error NotOfTheProtocol(std::string where, const BadField& bad) {
  return base::Error(base::Fault::kInvalid, "reading what the pipeline's reader said")
      .Because(where.empty() ? bad.text : fmt::format("{}: {}", where, bad.text));
}

// Where a step claims to be, as far as it can be told.
Problem ProblemAt(const json& object, const BadField& bad) {
  const auto text = [&](const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  const auto line = object.find("line");
  Problem problem;
  problem.file = text("file");
  problem.line =
      line != object.end() && line->is_number_unsigned() && line->get<uint64_t>() < UINT32_MAX
          ? line->get<uint32_t>()
          : 0;
  problem.message = fmt::format("step `{}`", Cut(OneLine(text("name")), kMaxNameLength));
  problem.cause = bad.text;
  return problem;
}

void ReadSteps(const json& document, bool expectations, std::vector<DeclaredStep>& steps,
               std::vector<Problem>& problems) {
  const char* const key = expectations ? "expectations" : "models";
  size_t index = 0;
  for (const json& object : ListMember(document, key, kMaxSteps)) {
    try {
      steps.push_back(StepReader(object, expectations).Read());
    } catch (const BadField& bad) {
      if (bad.kind == BadField::Kind::kShape)
        throw NotOfTheProtocol(fmt::format("{}[{}]", key, index), bad);
      problems.push_back(ProblemAt(object, bad));
    }
    ++index;
  }
}

Problem ReaderError(const json& error) {
  Problem problem;
  problem.file = TextMember(error, "file", kMaxReaderPath);
  problem.line = LineMember(error, "line");
  problem.column = LineMember(error, "column");
  problem.message = TextMember(error, "message", kMaxQuery);
  const std::string object = TextMember(error, "object", kMaxQuery);
  const std::string quoted = fmt::format("`{}`", object);
  if (!object.empty() && object != problem.file &&
      problem.message.find(quoted) == std::string::npos) {
    problem.message = fmt::format("{}: {}", quoted, problem.message);
  }
  problem.hint = OptionalTextMember(error, "hint", kMaxQuery).value_or("");
  return problem;
}

}  // namespace

std::string FaultOfRequirement(std::string_view requirement) {
  if (requirement.empty()) return "is empty";
  if (OneLine(requirement) != requirement) return "is not text of one line";
  // A file of requirements, or a wheel, beside the project's own files.
  if (requirement.starts_with("-r ") || requirement.starts_with("./")) return {};
  if (!IsAsciiLetter(requirement.front()) && !IsAsciiDigit(requirement.front())) {
    return "does not start with a package's name";
  }
  return {};
}

bool IsPythonVersion(std::string_view text) {
  return text.starts_with("3.") && text.size() >= 3 && text.size() <= 4 &&
         std::all_of(text.begin() + 2, text.end(), IsAsciiDigit);
}

std::string MakeReaderRequest(const std::vector<std::string>& files) {
  const json request = {{"version", kReaderVersion}, {"files", files}};
  return request.dump(-1, ' ', false, json::error_handler_t::replace);
}

ReaderDocument ReadReaderDocument(std::string_view text, std::vector<Problem>& problems) {
  const json document = ParseDocument(text, "what the pipeline's reader said");
  ReaderDocument read;
  const size_t before = problems.size();
  try {
    if (WholeMember(document, "version", 0, UINT64_MAX) != kReaderVersion)
      BadShape("version", "is not 1");
    for (const json& error : ListMember(document, "errors", kMaxErrors))
      problems.push_back(ReaderError(error));
    ReadSteps(document, false, read.steps, problems);
    ReadSteps(document, true, read.steps, problems);
  } catch (const BadField& bad) {
    throw NotOfTheProtocol({}, bad);
  }
  read.incomplete = problems.size() != before;
  std::sort(read.steps.begin(), read.steps.end(), [](const DeclaredStep& a, const DeclaredStep& b) {
    const auto key = [](const Step& step) {
      return std::tie(step.name, step.place.file, step.place.line, step.kind);
    };
    return key(a.step) < key(b.step);
  });
  return read;
}

}  // namespace rundlet::plans
