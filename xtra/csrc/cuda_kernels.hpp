// The CUDA engine: one warp a root, asynchronous on the caller's stream, no allocation, nothing to wait for; so a
// search can be captured as a graph.
#pragma once

#include "rules.hpp"

namespace xtra {

// All return null, or CUDA's description of what went wrong.

// Whether the kernels load on the current device: neither a driver older than the toolkit they were built with nor a
// device of another architecture runs them. Launches nothing and waits for nothing.
const char* cuda_probe();

// On device number `device`, whichever is current. `stream` is a cudaStream_t of it.
const char* cuda_begin(int device, const Workspace& work, const Outputs& outputs, const std::uint8_t* valid,
                       const float* noise, void* stream);
const char* cuda_step(int device, const Workspace& work, const Outputs& outputs, int simulation, void* stream);

}  // namespace xtra
