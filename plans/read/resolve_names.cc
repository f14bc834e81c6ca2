#include "plans/read/resolve_names.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "plans/read/cycles.h"
#include "plans/shown_text.h"

namespace rundlet::plans {
namespace {

std::string Describe(const Step& step) {
  return fmt::format("{} `{}`", step.kind == StepKind::kExpectation ? "expectation" : "model",
                     step.name.text());
}

std::string Describe(const Place& place) {
  return place.line == 0 ? place.file : fmt::format("{}:{}", place.file, place.line);
}

Problem ProblemAt(const Step& step, uint32_t line, std::string message) {
  Problem problem;
  problem.file = step.place.file;
  problem.line = line == 0 ? step.place.line : line;
  problem.message = std::move(message);
  return problem;
}

// A comparison takes the product of two lengths: a hostile project must not keep us at it.
constexpr size_t kMaxSpellings = 100;
constexpr size_t kMaxSpelledNames = 1'000;

class Resolver {
 public:
  Resolver(ReaderDocument document, ProjectDocument project, std::vector<Problem>& problems)
      : document_(std::move(document)), project_(std::move(project)), problems_(problems) {}

  Pipeline Run() {
    DropDoubles();
    for (DeclaredStep& declared : document_.steps) {
      ResolveInputs(declared);
      ResolveParameters(declared);
      ResolvePython(declared);
      SortByArgument(declared.step);
    }
    Pipeline pipeline = Assemble();
    FindCycles(pipeline, problems_);
    return pipeline;
  }

 private:
  const ProjectConfig& config() const { return project_.config; }

  // Steps are sorted by name and place: of several with one name the first stays.
  void DropDoubles() {
    std::vector<DeclaredStep> kept;
    for (DeclaredStep& declared : document_.steps) {
      const Step& step = declared.step;
      if (!kept.empty() && kept.back().step.name == step.name) {
        Problem problem = ProblemAt(step, 0, fmt::format("{} is declared twice", Describe(step)));
        problem.cause =
            fmt::format("the name is taken by the {} at {}",
                        kept.back().step.kind == StepKind::kExpectation ? "expectation" : "model",
                        Describe(kept.back().step.place));
        problems_.push_back(std::move(problem));
        continue;
      }
      const auto table = config().tables.find(TableName::Parse(step.name.text()).value());
      if (table != config().tables.end()) {
        Problem problem =
            ProblemAt(step, 0, fmt::format("{} has the name of a table", Describe(step)));
        problem.cause =
            fmt::format("[tables.{}] is at {}", step.name.text(), Describe(table->second.place));
        problems_.push_back(std::move(problem));
      }
      kept.push_back(std::move(declared));
    }
    document_.steps = std::move(kept);
  }

  const Step* Find(const std::string& name) const {
    const auto found = std::lower_bound(document_.steps.begin(), document_.steps.end(), name,
                                        [](const DeclaredStep& declared, const std::string& text) {
                                          return declared.step.name.text() < text;
                                        });
    const bool there = found != document_.steps.end() && found->step.name.text() == name;
    return there ? &found->step : nullptr;
  }

  void ResolveInputs(DeclaredStep& declared) {
    for (size_t i = 0; i < declared.input_names.size(); ++i) {
      const std::string& name = declared.input_names[i];
      Input& input = declared.step.inputs[i];
      const Step* const step = Find(name);
      const auto table = TableName::Parse(name);
      if (step != nullptr && step->kind != StepKind::kExpectation) {
        input.table = step->name;
      } else if (table && config().tables.contains(*table)) {
        input.table = *table;
      } else if (step != nullptr || !document_.incomplete) {
        ReportInput(declared.step, input, name, step != nullptr);
      }
    }
  }

  void ReportInput(const Step& step, const Input& input, const std::string& name,
                   bool is_expectation) {
    Problem problem =
        ProblemAt(step, input.line, fmt::format("{} reads `{}`", Describe(step), name));
    if (is_expectation) {
      problem.cause = fmt::format("`{}` is an expectation, which makes no table", name);
      problems_.push_back(std::move(problem));
      return;
    }
    problem.cause = "no model or table has that name";
    if (table_names_.empty()) {
      for (const DeclaredStep& other : document_.steps) {
        if (other.step.kind != StepKind::kExpectation)
          table_names_.push_back(other.step.name.text());
      }
      for (const auto& [known, table] : config().tables) table_names_.push_back(known.text());
    }
    const std::string close = CloseTo(name, table_names_);
    if (!close.empty()) {
      problem.hint = fmt::format("did you mean `{}`?", close);
    } else if (IsIdentifier(name)) {
      problem.hint = fmt::format(
          "make a model of that name, or say where its files are below [tables.{}] in {}", name,
          kProjectFile);
    }
    problems_.push_back(std::move(problem));
  }

  void ResolveParameters(DeclaredStep& declared) {
    for (size_t i = 0; i < declared.parameter_names.size(); ++i) {
      const std::string& text = declared.parameter_names[i];
      ParameterUse& use = declared.step.parameters[i];
      const auto name = ParameterName::Parse(text);
      if (name && config().parameters.contains(*name)) {
        use.name = *name;
        continue;
      }
      Problem problem =
          ProblemAt(declared.step, use.line,
                    fmt::format("{} uses the parameter `{}`", Describe(declared.step), text));
      problem.cause = fmt::format("{} declares no parameter of that name", kProjectFile);
      std::vector<std::string> known;
      for (const auto& [other, parameter] : config().parameters) known.push_back(other.text());
      const std::string close = CloseTo(text, known);
      if (!close.empty()) {
        problem.hint = fmt::format("did you mean `{}`?", close);
      } else if (IsIdentifier(text)) {
        problem.hint = fmt::format("declare it in {}: [parameters.{}]", kProjectFile, text);
      }
      problems_.push_back(std::move(problem));
    }
  }

  void ResolvePython(DeclaredStep& declared) {
    Step& step = declared.step;
    if (step.kind != StepKind::kSql) step.requirements = declared.pip.value_or(config().python.pip);
    step.version = declared.version;
    if (declared.image || declared.version) {
      const std::string& wanted = declared.image ? *declared.image : *declared.version;
      const auto name = ImageName::Parse(wanted);
      if (name && config().images.contains(*name)) {
        step.image = *name;
      } else {
        ReportImage(step,
                    declared.image ? fmt::format("asks for the image `{}`", wanted)
                                   : fmt::format("asks for Python {}", wanted),
                    wanted);
      }
      return;
    }
    if (project_.default_image_is_bad) return;
    step.version = config().python.version;
    if (const auto image = DefaultImage()) {
      step.image = *image;
    } else {
      Problem problem = ProblemAt(
          step, 0, fmt::format("{} does not say which Python it runs on", Describe(step)));
      problem.cause = fmt::format("{} has no default for it", kProjectFile);
      problem.hint = config().images.empty()
                         ? HintForImage(config(), "")
                         : fmt::format("set version below [python] in {}", kProjectFile);
      problems_.push_back(std::move(problem));
    }
  }

  void ReportImage(const Step& step, const std::string& asks, const std::string& wanted) {
    Problem problem = ProblemAt(step, 0, fmt::format("{} {}", Describe(step), asks));
    problem.cause = fmt::format("[images] in {} has no `{}`", kProjectFile, wanted);
    problem.hint = HintForImage(config(), wanted);
    problems_.push_back(std::move(problem));
  }

  // Where a step says nothing: [python] image, [python] version, or the only image there is.
  std::optional<ImageName> DefaultImage() const {
    const PythonDefaults& defaults = config().python;
    if (defaults.image) return defaults.image;
    if (defaults.version) return ImageName::Parse(*defaults.version);
    if (config().images.size() == 1) return config().images.begin()->first;
    return std::nullopt;
  }

  static void SortByArgument(Step& step) {
    const auto by_argument = [](const auto& a, const auto& b) { return a.argument < b.argument; };
    std::sort(step.inputs.begin(), step.inputs.end(), by_argument);
    std::sort(step.parameters.begin(), step.parameters.end(), by_argument);
  }

  Pipeline Assemble() {
    Pipeline pipeline;
    ImageName first;
    for (DeclaredStep& declared : document_.steps) {
      const ImageName& image = declared.step.image;
      if (!image.empty() && (first.empty() || image < first)) first = image;
      auto& steps =
          declared.step.kind == StepKind::kExpectation ? pipeline.expectations : pipeline.models;
      steps.push_back(std::move(declared.step));
    }
    const auto preferred = project_.default_image_is_bad ? std::nullopt : DefaultImage();
    if (!first.empty()) pipeline.engine_image = preferred.value_or(first);
    pipeline.config = std::move(project_.config);
    return pipeline;
  }

  std::string CloseTo(const std::string& name, const std::vector<std::string>& known) {
    if (spellings_ == kMaxSpellings || known.size() > kMaxSpelledNames) return {};
    ++spellings_;
    return base::ClosestWord(name.substr(0, kMaxNameLength), known);
  }

  ReaderDocument document_;
  ProjectDocument project_;
  std::vector<Problem>& problems_;
  size_t spellings_ = 0;
  std::vector<std::string> table_names_;  // for hints; made when first needed
};

}  // namespace

Pipeline ResolveNames(ReaderDocument document, ProjectDocument project,
                      std::vector<Problem>& problems) {
  return Resolver(std::move(document), std::move(project), problems).Run();
}

}  // namespace rundlet::plans
