#include "plans/read/read_pipeline.h"

#include <utility>

#include "plans/invalid_pipeline.h"
#include "plans/read/project_document.h"
#include "plans/read/reader_protocol.h"
#include "plans/read/resolve_names.h"

namespace rundlet::plans {

Pipeline ReadPipeline(std::string_view reader_json, std::string_view project_json) {
  std::vector<Problem> problems;
  ProjectDocument project = ReadProjectDocument(project_json, problems);
  ReaderDocument document = ReadReaderDocument(reader_json, problems);
  Pipeline pipeline = ResolveNames(std::move(document), std::move(project), problems);
  if (!problems.empty()) throw InvalidPipeline(std::move(problems));
  return pipeline;
}

void CheckProject(std::string_view project_json) {
  std::vector<Problem> problems;
  ReadProjectDocument(project_json, problems);
  if (!problems.empty()) throw InvalidPipeline(std::move(problems));
}

}  // namespace rundlet::plans
