// The CUDA engine: one warp a root, asynchronous on the caller's stream, no allocation, nothing to wait for; so a
// search can be captured as a graph.
#pragma once

#include "rules.hpp"

namespace xtra {

// Returns null, or CUDA's description of what went wrong at launch. `stream` is a cudaStream_t.
const char* cuda_begin(const Workspace& work, const Outputs& outputs, const bool* valid, const float* noise,
                       void* stream);
const char* cuda_step(const Workspace& work, const Outputs& outputs, int simulation, void* stream);

}  // namespace xtra
