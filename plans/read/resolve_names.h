// Private: looks up what steps name: inputs, parameters, images; and finds steps that wait for each
// other.
#pragma once

#include <vector>

#include "plans/invalid_pipeline.h"
#include "plans/pipeline.h"
#include "plans/read/project_document.h"
#include "plans/read/reader_protocol.h"

namespace rundlet::plans {

// Adds to `problems` every name that is unknown or taken twice, and every cycle. The pipeline is
// right when none was added. `document` is consumed.
Pipeline ResolveNames(ReaderDocument document, ProjectDocument project,
                      std::vector<Problem>& problems);

}  // namespace rundlet::plans
