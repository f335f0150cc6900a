// The fake device: what it remembers, and by which rules it takes work, waits, memory and copies. For runtime.cpp
// alone.
#pragma once

#include <cuda_runtime_api.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {

constexpr std::size_t kMemory = std::size_t{140} << 30;

struct Stream {
    bool capturing = false;
    bool has_unjoined_work = false;
    unsigned long long capture = 0;
    cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
    std::thread::id thread;  // that began the capture
};
struct Event {
    unsigned long long capture = 0;  // in which it was recorded; 0: in none
    Stream* stream = nullptr;
};
struct Graph {
    std::size_t num_nodes = 0;
};
using Blocks = std::map<const char*, std::size_t>;

struct Device {
    std::recursive_mutex mutex;
    Stream legacy;
    Stream* origin = nullptr;  // of the capture under way
    std::set<Stream*> joined;
    bool invalidated = false;
    unsigned long long num_captures = 0;
    std::size_t num_nodes = 0, allocated = 0;
    std::unordered_map<const void*, std::string> kernels;
    Blocks memory, pinned;
    std::map<std::string, std::size_t> ran, captured;
    std::vector<std::string> complaints;
};

Device& device() {
    static Device& instance = *new Device;  // outlives every static destructor of torch
    return instance;
}

thread_local cudaError_t last_error = cudaSuccess;
thread_local cudaStreamCaptureMode thread_mode = cudaStreamCaptureModeGlobal;

Stream* stream_of(cudaStream_t stream) {
    const bool is_legacy = !stream || stream == cudaStreamLegacy || stream == cudaStreamPerThread;
    return is_legacy ? &device().legacy : reinterpret_cast<Stream*>(stream);
}

cudaError_t refuse(cudaError_t error, const std::string& what) {
    device().complaints.push_back(what + " -> " + std::to_string(static_cast<int>(error)));
    return last_error = error;
}

// What ends the capture under way, besides being refused itself.
cudaError_t invalidate(cudaError_t error, const std::string& what) {
    device().invalidated = true;
    return refuse(error, what);
}

cudaError_t work(Stream* stream, const std::string& what) {
    Device& here = device();
    const std::lock_guard lock(here.mutex);
    if (stream->capturing) {
        here.captured[what] += 1;
        here.num_nodes += 1;
        stream->has_unjoined_work = true;
        return here.invalidated ? refuse(cudaErrorStreamCaptureInvalidated, what) : cudaSuccess;
    }
    if (here.origin && stream == &here.legacy)
        return invalidate(cudaErrorStreamCaptureImplicit, what + " on the legacy stream during a capture");
    if (here.origin)
        here.complaints.push_back(what + " on another stream during a capture: runs at once, not captured");
    here.ran[what] += 1;
    return cudaSuccess;
}

cudaError_t wait(Stream* stream, const char* what, bool for_everything) {
    Device& here = device();
    const std::lock_guard lock(here.mutex);
    here.ran[what] += 1;
    const bool waits_for_capture = here.origin && (for_everything || stream == &here.legacy);
    return stream->capturing || waits_for_capture ? invalidate(cudaErrorStreamCaptureUnsupported, what) : cudaSuccess;
}

// Whether a capture forbids this thread what could disturb one: its own capture does, and another's if both are global;
// a relaxed one, or a thread that asked for the relaxed mode, forbids nothing.
bool capture_forbids_unsafe_calls() {
    const Stream* origin = device().origin;
    if (!origin || thread_mode == cudaStreamCaptureModeRelaxed || origin->mode == cudaStreamCaptureModeRelaxed)
        return false;
    const bool both_global = origin->mode == cudaStreamCaptureModeGlobal && thread_mode == cudaStreamCaptureModeGlobal;
    return both_global || origin->thread == std::this_thread::get_id();
}

bool is_inside(const Blocks& blocks, const void* address) {
    auto after = blocks.upper_bound(static_cast<const char*>(address));
    if (after == blocks.begin()) return false;
    const auto& [begin, size] = *std::prev(after);
    return static_cast<const char*>(address) < begin + size;
}

cudaError_t allocate(Blocks& blocks, void** address, std::size_t size, const char* what) {
    Device& here = device();
    const std::lock_guard lock(here.mutex);
    if (capture_forbids_unsafe_calls()) return invalidate(cudaErrorStreamCaptureUnsupported, what);
    const std::size_t bytes = std::max<std::size_t>(size, 1);
    void* block = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (block == MAP_FAILED) return refuse(cudaErrorMemoryAllocation, what);
    blocks[static_cast<char*>(block)] = bytes;
    if (&blocks == &here.memory) here.allocated += bytes;
    *address = block;
    return cudaSuccess;
}

cudaError_t release(Blocks& blocks, void* address, const char* what) {
    Device& here = device();
    const std::lock_guard lock(here.mutex);
    if (&blocks == &here.memory && capture_forbids_unsafe_calls())
        return invalidate(cudaErrorStreamCaptureUnsupported, what);
    const auto block = blocks.find(static_cast<char*>(address));
    if (block == blocks.end()) return cudaSuccess;
    if (&blocks == &here.memory) here.allocated -= block->second;
    munmap(address, block->second);
    blocks.erase(block);
    return cudaSuccess;
}

// To the device a copy is real; from it come zeros, since no kernel has written anything.
cudaError_t copy(void* to, const void* from, std::size_t size, const std::string& call, Stream* stream) {
    Device& here = device();
    const std::lock_guard lock(here.mutex);
    const auto place = [&](const void* address) {
        return is_inside(here.memory, address) ? 'D' : is_inside(here.pinned, address) ? 'P' : 'H';
    };
    const char source = place(from), target = place(to);
    const std::string what = call + " " + source + "to" + target;
    if (const cudaError_t error = work(stream, what)) return error;
    if (stream->capturing) {
        if (source == 'H' || target == 'H') here.complaints.push_back(what + ": pageable host memory inside a capture");
    } else if (source == 'D' && target != 'D') {
        std::memset(to, 0, size);
    } else if (target == 'D' && source != 'D') {
        std::memcpy(to, from, size);
    }
    return cudaSuccess;
}

cudaError_t launch(const void* function, dim3 grid, dim3 block, cudaStream_t stream) {
    const auto known = device().kernels.find(function);
    const std::string name = known == device().kernels.end() ? "unknown kernel" : known->second;
    const bool is_empty = grid.x == 0 || grid.y == 0 || grid.z == 0 || block.x == 0;
    if (is_empty || block.x * block.y * block.z > 1024 || grid.y > 65535 || grid.z > 65535)
        return refuse(cudaErrorInvalidConfiguration, name);
    return work(stream_of(stream), "kernel " + name);
}

cudaStreamCaptureStatus status_of(const Stream* stream) {
    if (!stream->capturing) return cudaStreamCaptureStatusNone;
    return device().invalidated ? cudaStreamCaptureStatusInvalidated : cudaStreamCaptureStatusActive;
}

struct Configuration {
    dim3 grid, block;
    std::size_t shared_bytes;
    cudaStream_t stream;
};
thread_local std::vector<Configuration> configurations;

}  // namespace
