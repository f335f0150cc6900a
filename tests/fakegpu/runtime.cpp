// The CUDA runtime's functions as torch and the CUDA engine call them, on a device that computes nothing: memory is the
// host's, kernels are counted by name, and stream capture follows the rules of CUDA's programming guide, so that what
// would break a capture on a device breaks it here.
#include <cuda_runtime_api.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "device.hpp"
#include "state.hpp"

// What fakegpu.py asks.
FAKEGPU_API void fakegpu_reset() {
    Device& here = device();
    const std::lock_guard lock(here.mutex);
    here.ran.clear();
    here.captured.clear();
    here.complaints.clear();
}
// One line each: kind (ran, captured, complaint), count and name, separated by tabs.
FAKEGPU_API const char* fakegpu_report() {
    static std::string report;
    Device& here = device();
    const std::lock_guard lock(here.mutex);
    report.clear();
    const auto add = [&](const char* kind, std::size_t count, const std::string& name) {
        report += std::string(kind) + "\t" + std::to_string(count) + "\t" + name + "\n";
    };
    for (const auto& [name, count] : here.ran) add("ran", count, name);
    for (const auto& [name, count] : here.captured) add("captured", count, name);
    for (const auto& complaint : here.complaints) add("complaints", 1, complaint);
    return report.c_str();
}
FAKEGPU_API int fakegpu_work(const char* what, void* stream) {
    return work(stream_of(static_cast<cudaStream_t>(stream)), what);
}

// Modules and kernels.
FAKEGPU_API void** __cudaRegisterFatBinary(void*) {
    static void* handle;
    return &handle;
}
FAKEGPU_API void __cudaRegisterFatBinaryEnd(void**) {}
FAKEGPU_API void __cudaUnregisterFatBinary(void**) {}
FAKEGPU_API char __cudaInitModule(void**) { return 0; }
FAKEGPU_API void __cudaRegisterVar(void**, char*, char*, const char*, int, std::size_t, int, int) {}
FAKEGPU_API void __cudaRegisterFunction(void**, const char* function, char*, const char* name, int, uint3*, uint3*,
                                        dim3*, dim3*, int*) {
    device().kernels[function] = name;
}
FAKEGPU_API cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* function) {
    *kernel = static_cast<cudaKernel_t>(const_cast<void*>(function));
    return cudaSuccess;
}
FAKEGPU_API unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, std::size_t shared_bytes, CUstream_st* stream) {
    configurations.push_back({grid, block, shared_bytes, stream});
    return 0;
}
FAKEGPU_API cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, std::size_t* shared_bytes, void* stream) {
    const Configuration& top = configurations.back();
    *grid = top.grid, *block = top.block, *shared_bytes = top.shared_bytes;
    *static_cast<cudaStream_t*>(stream) = top.stream;
    configurations.pop_back();
    return cudaSuccess;
}
FAKEGPU_API cudaError_t __cudaLaunchKernel(cudaKernel_t f, dim3 g, dim3 b, void**, std::size_t, cudaStream_t s) {
    return launch(f, g, b, s);
}
FAKEGPU_API cudaError_t cudaLaunchKernel(const void* f, dim3 g, dim3 b, void**, std::size_t, cudaStream_t s) {
    return launch(f, g, b, s);
}
FAKEGPU_API cudaError_t cudaLaunchCooperativeKernel(const void* f, dim3 g, dim3 b, void**, std::size_t,
                                                    cudaStream_t s) {
    return launch(f, g, b, s);
}
FAKEGPU_API cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function, void**) {
    return launch(function, config->gridDim, config->blockDim, config->stream);
}
FAKEGPU_API cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t, void*) {
    return work(stream_of(stream), "host function");
}
FAKEGPU_API cudaError_t cudaStreamAddCallback(cudaStream_t stream, cudaStreamCallback_t, void*, unsigned) {
    return work(stream_of(stream), "callback");
}
// FAKEGPU_FAULT: the error, by its number, with which every kernel refuses to load.
FAKEGPU_API cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
    const char* fault = std::getenv("FAKEGPU_FAULT");
    if (fault && std::atoi(fault) != 0) return refuse(static_cast<cudaError_t>(std::atoi(fault)), "loading a kernel");
    *attributes = {};
    attributes->maxThreadsPerBlock = 1024;
    attributes->binaryVersion = attributes->ptxVersion = 90;
    attributes->numRegs = 32;
    return cudaSuccess;
}
FAKEGPU_API cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int) { return cudaSuccess; }
FAKEGPU_API cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void*, int, std::size_t) {
    *blocks = 2;
    return cudaSuccess;
}
FAKEGPU_API cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void*, int,
                                                                               std::size_t, unsigned) {
    *blocks = 2;
    return cudaSuccess;
}

// Memory.
FAKEGPU_API cudaError_t cudaMalloc(void** address, std::size_t size) {
    return allocate(device().memory, address, size, "cudaMalloc");
}
FAKEGPU_API cudaError_t cudaMallocAsync(void** address, std::size_t size, cudaStream_t) {
    return cudaMalloc(address, size);
}
FAKEGPU_API cudaError_t cudaFree(void* address) { return release(device().memory, address, "cudaFree"); }
FAKEGPU_API cudaError_t cudaFreeAsync(void* address, cudaStream_t) { return cudaFree(address); }
FAKEGPU_API cudaError_t cudaHostAlloc(void** address, std::size_t size, unsigned) {
    return allocate(device().pinned, address, size, "cudaHostAlloc");
}
FAKEGPU_API cudaError_t cudaFreeHost(void* address) { return release(device().pinned, address, "cudaFreeHost"); }
FAKEGPU_API cudaError_t cudaHostRegister(void*, std::size_t, unsigned) { return cudaSuccess; }
FAKEGPU_API cudaError_t cudaHostUnregister(void*) { return cudaSuccess; }
FAKEGPU_API cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t size, cudaMemcpyKind,
                                        cudaStream_t stream) {
    return copy(to, from, size, "memcpyAsync", stream_of(stream));
}
FAKEGPU_API cudaError_t cudaMemcpy(void* to, const void* from, std::size_t size, cudaMemcpyKind) {
    if (const cudaError_t error = copy(to, from, size, "memcpy", &device().legacy)) return error;
    return wait(&device().legacy, "cudaMemcpy", true);
}
FAKEGPU_API cudaError_t cudaMemcpy2DAsync(void*, std::size_t, const void*, std::size_t, std::size_t, std::size_t,
                                          cudaMemcpyKind, cudaStream_t stream) {
    return work(stream_of(stream), "memcpy2DAsync");
}
FAKEGPU_API cudaError_t cudaMemcpyPeerAsync(void*, int, const void*, int, std::size_t, cudaStream_t stream) {
    return work(stream_of(stream), "memcpyPeerAsync");
}
FAKEGPU_API cudaError_t cudaMemcpyToSymbol(const void*, const void*, std::size_t, std::size_t, cudaMemcpyKind) {
    return work(&device().legacy, "memcpyToSymbol");
}
FAKEGPU_API cudaError_t cudaMemsetAsync(void* address, int value, std::size_t size, cudaStream_t stream) {
    const cudaError_t error = work(stream_of(stream), "memset");
    const bool is_worth_it = size < (std::size_t{1} << 20);  // untouched pages are zeros already
    if (error == cudaSuccess && !stream_of(stream)->capturing && is_worth_it) std::memset(address, value, size);
    return error;
}
FAKEGPU_API cudaError_t cudaMemset(void* address, int value, std::size_t size) {
    return cudaMemsetAsync(address, value, size, nullptr);
}
FAKEGPU_API cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
    *total = kMemory;
    *free = kMemory - device().allocated;
    return cudaSuccess;
}
FAKEGPU_API cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* address) {
    Device& here = device();
    const std::lock_guard lock(here.mutex);
    *attributes = {};
    attributes->type = is_inside(here.memory, address)   ? cudaMemoryTypeDevice
                       : is_inside(here.pinned, address) ? cudaMemoryTypeHost
                                                         : cudaMemoryTypeUnregistered;
    attributes->devicePointer = attributes->hostPointer = const_cast<void*>(address);
    return cudaSuccess;
}
FAKEGPU_API cudaError_t cudaGetSymbolAddress(void** address, const void*) {
    static char symbol[65536];
    *address = symbol;
    return cudaSuccess;
}
FAKEGPU_API cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int) {
    static char handle;
    *pool = reinterpret_cast<cudaMemPool_t>(&handle);
    return cudaSuccess;
}
FAKEGPU_API cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) { return cudaSuccess; }
FAKEGPU_API cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) { return cudaSuccess; }
FAKEGPU_API cudaError_t cudaMemPoolSetAccess(cudaMemPool_t, const cudaMemAccessDesc*, std::size_t) {
    return cudaSuccess;
}
FAKEGPU_API cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, std::size_t) { return cudaSuccess; }

// The device.
FAKEGPU_API cudaError_t cudaGetDeviceCount(int* count) {
    const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
    *count = visible && *visible == 0 ? 0 : 1;
    return *count == 0 ? cudaErrorNoDevice : cudaSuccess;
}
FAKEGPU_API cudaError_t cudaGetDevice(int* index) { return *index = 0, cudaSuccess; }
FAKEGPU_API cudaError_t cudaSetDevice(int) { return cudaSuccess; }
FAKEGPU_API cudaError_t cudaDriverGetVersion(int* version) { return *version = 13000, cudaSuccess; }
FAKEGPU_API cudaError_t cudaRuntimeGetVersion(int* version) { return *version = 13000, cudaSuccess; }
FAKEGPU_API cudaError_t cudaDeviceGetPCIBusId(char* id, int size, int) {
    std::strncpy(id, "0000:00:00.0", static_cast<std::size_t>(size));
    return cudaSuccess;
}
FAKEGPU_API cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) { return *can = 0, cudaSuccess; }
FAKEGPU_API cudaError_t cudaDeviceEnablePeerAccess(int, unsigned) { return cudaSuccess; }
FAKEGPU_API cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
    return *least = 0, *greatest = -5, cudaSuccess;
}
FAKEGPU_API cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
    *properties = {};
    std::strcpy(properties->name, "Fake GPU");
    properties->major = 9, properties->minor = 0;
    properties->totalGlobalMem = kMemory;
    properties->multiProcessorCount = 132;
    properties->warpSize = 32;
    properties->maxThreadsPerBlock = 1024;
    properties->maxThreadsDim[0] = properties->maxThreadsDim[1] = 1024, properties->maxThreadsDim[2] = 64;
    properties->maxGridSize[0] = 2147483647, properties->maxGridSize[1] = properties->maxGridSize[2] = 65535;
    properties->maxThreadsPerMultiProcessor = 2048;
    properties->maxBlocksPerMultiProcessor = 32;
    properties->sharedMemPerBlock = 49152;
    properties->sharedMemPerBlockOptin = 232448;
    properties->sharedMemPerMultiprocessor = 233472;
    properties->regsPerBlock = properties->regsPerMultiprocessor = 65536;
    properties->l2CacheSize = 60 << 20;
    properties->textureAlignment = 512;
    properties->unifiedAddressing = properties->canMapHostMemory = properties->concurrentKernels = 1;
    return cudaSuccess;
}
FAKEGPU_API cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
    static const std::map<cudaDeviceAttr, int> values = {
        {cudaDevAttrMaxThreadsPerBlock, 1024},
        {cudaDevAttrMaxSharedMemoryPerBlock, 49152},
        {cudaDevAttrMultiProcessorCount, 132},
        {cudaDevAttrMaxSharedMemoryPerBlockOptin, 232448},
        {cudaDevAttrComputeCapabilityMajor, 9},
        {cudaDevAttrComputeCapabilityMinor, 0},
        {cudaDevAttrWarpSize, 32},
        {cudaDevAttrMaxThreadsPerMultiProcessor, 2048},
        {cudaDevAttrMaxGridDimX, 2147483647},
        {cudaDevAttrMaxGridDimY, 65535},
        {cudaDevAttrMaxGridDimZ, 65535},
        {cudaDevAttrMaxBlockDimX, 1024},
        {cudaDevAttrMaxBlockDimY, 1024},
        {cudaDevAttrMaxBlockDimZ, 64},
        {cudaDevAttrMaxRegistersPerBlock, 65536},
        {cudaDevAttrTextureAlignment, 512},
    };
    const auto known = values.find(attribute);
    *value = known == values.end() ? 1 : known->second;
    return cudaSuccess;
}

// Streams and events.
FAKEGPU_API cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned, int) {
    *stream = reinterpret_cast<cudaStream_t>(new Stream);
    return cudaSuccess;
}
FAKEGPU_API cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithPriority(stream, 0, 0); }
FAKEGPU_API cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
FAKEGPU_API cudaError_t cudaStreamGetPriority(cudaStream_t, int* priority) { return *priority = 0, cudaSuccess; }
FAKEGPU_API cudaError_t cudaDeviceSynchronize() { return wait(&device().legacy, "cudaDeviceSynchronize", true); }
FAKEGPU_API cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    return wait(stream_of(stream), "cudaStreamSynchronize", false);
}
FAKEGPU_API cudaError_t cudaStreamQuery(cudaStream_t stream) {
    return wait(stream_of(stream), "cudaStreamQuery", false);
}
FAKEGPU_API cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
    *event = reinterpret_cast<cudaEvent_t>(new Event);
    return cudaSuccess;
}
FAKEGPU_API cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, 0); }
FAKEGPU_API cudaError_t cudaEventDestroy(cudaEvent_t event) {
    delete reinterpret_cast<Event*>(event);
    return cudaSuccess;
}
FAKEGPU_API cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t, cudaEvent_t) {
    return *milliseconds = 1.0f, cudaSuccess;
}
static cudaError_t wait_for_event(cudaEvent_t event, const char* what) {
    const std::lock_guard lock(device().mutex);
    if (reinterpret_cast<Event*>(event)->capture && device().origin) return invalidate(cudaErrorCapturedEvent, what);
    device().ran[what] += 1;
    return cudaSuccess;
}
FAKEGPU_API cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    return wait_for_event(event, "cudaEventSynchronize");
}
FAKEGPU_API cudaError_t cudaEventQuery(cudaEvent_t event) { return wait_for_event(event, "cudaEventQuery"); }
FAKEGPU_API cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned) {
    const std::lock_guard lock(device().mutex);
    Stream* source = stream_of(stream);
    if (device().origin && source == &device().legacy)
        return invalidate(cudaErrorStreamCaptureImplicit, "cudaEventRecord on the legacy stream during a capture");
    *reinterpret_cast<Event*>(event) = {source->capturing ? source->capture : 0, source};
    return cudaSuccess;
}
FAKEGPU_API cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    return cudaEventRecordWithFlags(event, stream, 0);
}
FAKEGPU_API cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t handle, unsigned) {
    Device& here = device();
    const std::lock_guard lock(here.mutex);
    const Event& event = *reinterpret_cast<Event*>(handle);
    Stream* waiting = stream_of(stream);
    if (waiting->capturing && event.stream && event.capture != waiting->capture)
        return invalidate(cudaErrorStreamCaptureIsolation, "a capturing stream waits for an event from outside");
    if (!waiting->capturing && event.capture && here.origin && event.capture == here.origin->capture) {
        if (waiting == &here.legacy)
            return invalidate(cudaErrorStreamCaptureImplicit, "the legacy stream waits for a captured event");
        waiting->capturing = true;  // it joins the capture
        waiting->capture = event.capture;
        here.joined.insert(waiting);
    }
    if (waiting->capturing && event.stream && event.stream != waiting) event.stream->has_unjoined_work = false;
    return cudaSuccess;
}

// Capture and graphs.
FAKEGPU_API cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
    Device& here = device();
    const std::lock_guard lock(here.mutex);
    Stream* origin = stream_of(stream);
    if (origin == &here.legacy) return refuse(cudaErrorStreamCaptureUnsupported, "capture of the legacy stream");
    if (origin->capturing) return refuse(cudaErrorIllegalState, "a stream that captures already");
    *origin = {true, false, ++here.num_captures, mode, std::this_thread::get_id()};
    here.origin = origin;
    here.invalidated = false;
    here.num_nodes = 0;
    here.joined.clear();
    return cudaSuccess;
}
FAKEGPU_API cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
    Device& here = device();
    const std::lock_guard lock(here.mutex);
    *graph = nullptr;
    bool is_unjoined = false;
    for (Stream* joined : here.joined) {
        is_unjoined |= joined->has_unjoined_work;
        joined->capturing = false;
    }
    stream_of(stream)->capturing = false;
    here.origin = nullptr;
    if (std::exchange(here.invalidated, false))
        return refuse(cudaErrorStreamCaptureInvalidated, "end of a broken capture");
    if (is_unjoined) return refuse(cudaErrorStreamCaptureUnjoined, "a stream that was never joined again");
    *graph = reinterpret_cast<cudaGraph_t>(new Graph{here.num_nodes});
    return cudaSuccess;
}
FAKEGPU_API cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
    const bool is_legacy = stream_of(stream) == &device().legacy;
    if (is_legacy && device().origin && capture_forbids_unsafe_calls())
        return refuse(cudaErrorStreamCaptureImplicit, "cudaStreamIsCapturing of the legacy stream");
    *status = status_of(stream_of(stream));
    return cudaSuccess;
}
FAKEGPU_API cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, cudaStreamCaptureStatus* status,
                                                 unsigned long long* id, cudaGraph_t*, const cudaGraphNode_t**,
                                                 const cudaGraphEdgeData**, std::size_t* num_dependencies) {
    *status = status_of(stream_of(stream));
    if (id) *id = stream_of(stream)->capture;
    if (num_dependencies) *num_dependencies = 0;
    return cudaSuccess;
}
FAKEGPU_API cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
    std::swap(*mode, thread_mode);
    return cudaSuccess;
}
FAKEGPU_API cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* executable, cudaGraph_t graph,
                                                      unsigned long long) {
    *executable = reinterpret_cast<cudaGraphExec_t>(graph);
    return cudaSuccess;
}
FAKEGPU_API cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t*, std::size_t* count) {
    *count = reinterpret_cast<Graph*>(graph)->num_nodes;
    return cudaSuccess;
}
FAKEGPU_API cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
    const std::size_t count = reinterpret_cast<Graph*>(graph)->num_nodes;
    return work(stream_of(stream), "graph of " + std::to_string(count) + " nodes");
}
FAKEGPU_API cudaError_t cudaGraphDestroy(cudaGraph_t) { return cudaSuccess; }
FAKEGPU_API cudaError_t cudaGraphExecDestroy(cudaGraphExec_t) { return cudaSuccess; }
FAKEGPU_API cudaError_t cudaGraphDebugDotPrint(cudaGraph_t, const char*, unsigned) { return cudaSuccess; }
FAKEGPU_API cudaError_t cudaGraphNodeGetDependencies(cudaGraphNode_t, cudaGraphNode_t*, cudaGraphEdgeData*,
                                                     std::size_t* count) {
    return *count = 0, cudaSuccess;
}

// Errors.
FAKEGPU_API cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
FAKEGPU_API cudaError_t cudaPeekAtLastError() { return last_error; }
FAKEGPU_API const char* cudaGetErrorString(cudaError_t error) {
    static const std::map<cudaError_t, const char*> texts = {
        {cudaErrorMemoryAllocation, "out of memory"},
        {cudaErrorInsufficientDriver, "CUDA driver version is insufficient for CUDA runtime version"},
        {cudaErrorNoDevice, "no CUDA-capable device is detected"},
        {cudaErrorStreamCaptureUnsupported, "operation not permitted when stream is capturing"},
        {cudaErrorStreamCaptureInvalidated, "operation failed due to a previous error during capture"},
        {cudaErrorStreamCaptureUnjoined, "capturing stream has unjoined work"},
        {cudaErrorStreamCaptureIsolation, "dependency created on uncaptured work in another stream"},
        {cudaErrorStreamCaptureImplicit,
         "operation would make the legacy stream depend on a capturing blocking stream"},
    };
    const auto known = texts.find(error);
    return known == texts.end() ? "an error of the fake device" : known->second;
}
FAKEGPU_API const char* cudaGetErrorName(cudaError_t error) { return cudaGetErrorString(error); }
static int succeed() { return 0; }
FAKEGPU_API cudaError_t cudaGetDriverEntryPointByVersion(const char*, void** function, unsigned, unsigned long long,
                                                         cudaDriverEntryPointQueryResult* result) {
    *function = reinterpret_cast<void*>(succeed);
    if (result) *result = cudaDriverEntryPointSuccess;
    return cudaSuccess;
}
