// What the stub libraries share: one device, kept by the stub of the CUDA runtime.
#pragma once

#define FAKEGPU_API extern "C" __attribute__((visibility("default")))

// Work on a stream: counted, and held to the rules of stream capture. Returns a cudaError_t, 0 if a device would accept
// it.
extern "C" int fakegpu_work(const char* what, void* stream);
