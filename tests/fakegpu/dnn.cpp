// cuDNN as torch calls it: descriptors remember what they describe, work is counted with its type.
#include <cstdint>
#include <cstring>
#include <string>

#include "device.hpp"

namespace {

struct Handle {
    void* stream;
};
struct TensorDescriptor {
    int type, num_dimensions, sizes[8], strides[8];
};
struct RnnDescriptor {
    int type, input_size, hidden_size;
};
struct BackendDescriptor {
    int type;
};

enum Type { kFloat = 0, kDouble = 1, kHalf = 2, kBfloat16 = 9 };

std::string name_of(int type) {
    return type == kFloat ? "float32" : type == kHalf ? "float16" : type == kBfloat16 ? "bfloat16" : "other";
}
std::size_t size_of(int type) { return type == kDouble ? 8 : type == kFloat ? 4 : 2; }

int work(const std::string& what, const Handle* handle) {
    constexpr int kNotInitialized = 1001;
    return fakegpu_work(what.c_str(), handle->stream) == 0 ? 0 : kNotInitialized;
}

void describe(TensorDescriptor* tensor, int type, int rows, int columns) {
    if (tensor) *tensor = {type, 3, {1, rows, columns}, {rows * columns, columns, 1}};
}

}  // namespace

FAKEGPU_API int cudnnCreate(Handle** handle) { return *handle = new Handle{}, 0; }
FAKEGPU_API int cudnnSetStream(Handle* handle, void* stream) { return handle->stream = stream, 0; }
FAKEGPU_API int cudnnGetStream(Handle* handle, void** stream) { return *stream = handle->stream, 0; }
FAKEGPU_API std::size_t cudnnGetVersion() { return 91900; }
FAKEGPU_API std::size_t cudnnGetCudartVersion() { return 13000; }
FAKEGPU_API int cudnnGetProperty(int part, int* value) { return *value = part == 0 ? 9 : part == 1 ? 19 : 0, 0; }
FAKEGPU_API const char* cudnnGetErrorString(int) { return "an error of the fake device"; }
FAKEGPU_API void cudnnGetLastErrorString(char* text, std::size_t size) {
    if (size) *text = 0;
}

// Descriptors whose contents nobody here reads.
#define DESCRIPTOR(kind) \
    FAKEGPU_API int cudnnCreate##kind##Descriptor(void** descriptor) { return *descriptor = new char[256](), 0; }
DESCRIPTOR(Activation)
DESCRIPTOR(CTCLoss)
DESCRIPTOR(Convolution)
DESCRIPTOR(Dropout)
DESCRIPTOR(Filter)
DESCRIPTOR(Pooling)
DESCRIPTOR(RNNData)
DESCRIPTOR(SpatialTransformer)

FAKEGPU_API int cudnnCreateTensorDescriptor(TensorDescriptor** tensor) { return *tensor = new TensorDescriptor{}, 0; }
FAKEGPU_API int cudnnSetTensorNdDescriptor(TensorDescriptor* tensor, int type, int count, const int* sizes,
                                           const int* strides) {
    tensor->type = type;
    tensor->num_dimensions = count;
    std::memcpy(tensor->sizes, sizes, sizeof(int) * static_cast<std::size_t>(count));
    std::memcpy(tensor->strides, strides, sizeof(int) * static_cast<std::size_t>(count));
    return 0;
}
FAKEGPU_API int cudnnGetTensorNdDescriptor(TensorDescriptor* tensor, int, int* type, int* count, int* sizes,
                                           int* strides) {
    const std::size_t bytes = sizeof(int) * static_cast<std::size_t>(tensor->num_dimensions);
    if (type) *type = tensor->type;
    if (count) *count = tensor->num_dimensions;
    if (sizes) std::memcpy(sizes, tensor->sizes, bytes);
    if (strides) std::memcpy(strides, tensor->strides, bytes);
    return 0;
}

// LSTMs: one layer, one direction; the weights lie as cuDNN wants them, gate by gate, first the inputs', then the
// hidden state's.
FAKEGPU_API int cudnnCreateRNNDescriptor(RnnDescriptor** rnn) { return *rnn = new RnnDescriptor{}, 0; }
FAKEGPU_API int cudnnSetRNNDescriptor_v8(RnnDescriptor* rnn, int, int, int, int, int, int type, int, int,
                                         int input_size, int hidden_size, int, int, void*, unsigned) {
    *rnn = {type, input_size, hidden_size};
    return 0;
}
FAKEGPU_API int cudnnGetRNNWeightSpaceSize(Handle*, RnnDescriptor* rnn, std::size_t* bytes) {
    const int numbers = 4 * rnn->hidden_size * (rnn->input_size + rnn->hidden_size) + 8 * rnn->hidden_size;
    return *bytes = static_cast<std::size_t>(numbers) * size_of(rnn->type), 0;
}
FAKEGPU_API int cudnnGetRNNTempSpaceSizes(Handle*, RnnDescriptor*, int, void*, std::size_t* work_bytes,
                                          std::size_t* reserve_bytes) {
    *work_bytes = 1024;
    if (reserve_bytes) *reserve_bytes = 1024;
    return 0;
}
FAKEGPU_API int cudnnGetRNNWeightParams(Handle*, RnnDescriptor* rnn, int, std::size_t, const void* weights, int matrix,
                                        TensorDescriptor* weight, void** weight_address, TensorDescriptor* bias,
                                        void** bias_address) {
    const long hidden = rnn->hidden_size, input = rnn->input_size;
    const bool is_of_input = matrix < 4;
    const long before = is_of_input ? matrix * hidden * input : 4 * hidden * input + (matrix - 4) * hidden * hidden;
    const long biases = 4 * hidden * (input + hidden) + matrix * hidden;
    char* base = static_cast<char*>(const_cast<void*>(weights));
    if (weight_address) *weight_address = base + before * static_cast<long>(size_of(rnn->type));
    if (bias_address) *bias_address = base + biases * static_cast<long>(size_of(rnn->type));
    describe(weight, rnn->type, rnn->hidden_size, is_of_input ? rnn->input_size : rnn->hidden_size);
    describe(bias, rnn->type, rnn->hidden_size, 1);
    return 0;
}
FAKEGPU_API int cudnnRNNForward(Handle* handle, RnnDescriptor* rnn, int) {
    return work("cudnnRNNForward " + name_of(rnn->type), handle);
}
FAKEGPU_API int cudnnRNNBackwardData_v8(Handle* handle, RnnDescriptor* rnn) {
    return work("cudnnRNNBackwardData " + name_of(rnn->type), handle);
}
FAKEGPU_API int cudnnRNNBackwardWeights_v8(Handle* handle, RnnDescriptor* rnn) {
    return work("cudnnRNNBackwardWeights " + name_of(rnn->type), handle);
}

// Batch norm.
FAKEGPU_API int cudnnBatchNormalizationForwardTrainingEx(Handle* h) { return work("cudnnBatchNorm forward", h); }
FAKEGPU_API int cudnnBatchNormalizationForwardInference(Handle* h) { return work("cudnnBatchNorm inference", h); }
FAKEGPU_API int cudnnBatchNormalizationBackwardEx(Handle* h) { return work("cudnnBatchNorm backward", h); }
FAKEGPU_API int cudnnGetBatchNormalizationBackwardExWorkspaceSize(Handle*, int, int, void*, void*, void*, void*, void*,
                                                                  void*, void*, std::size_t* bytes) {
    return *bytes = 0, 0;
}
FAKEGPU_API int cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(Handle*, int, int, void*, void*, void*, void*,
                                                                         void*, std::size_t* bytes) {
    return *bytes = 0, 0;
}
FAKEGPU_API int cudnnGetBatchNormalizationTrainingExReserveSpaceSize(Handle*, int, int, void*, void*,
                                                                     std::size_t* bytes) {
    return *bytes = 0, 0;
}

// The graph API, by which convolutions come: one engine for everything, deterministic, without a workspace.
FAKEGPU_API int cudnnBackendCreateDescriptor(int type, void** descriptor) {
    return *descriptor = new BackendDescriptor{type}, 0;
}
FAKEGPU_API int cudnnBackendDestroyDescriptor(BackendDescriptor* descriptor) {
    delete descriptor;
    return 0;
}
FAKEGPU_API int cudnnBackendFinalize(BackendDescriptor*) { return 0; }
FAKEGPU_API int cudnnBackendSetAttribute(BackendDescriptor*, int, int, std::int64_t, const void*) { return 0; }
FAKEGPU_API int cudnnBackendGetAttribute(BackendDescriptor*, int attribute, int type, std::int64_t requested,
                                         std::int64_t* count, void* value) {
    constexpr int kInt64 = 3, kDescriptor = 15, kBehaviourNote = 24;
    constexpr int kHeuristicResults = 202, kConfigEngine = 300, kNotes[] = {1302, 1303, 1305};
    if (type == kDescriptor) {
        if (count) *count = attribute == kHeuristicResults || attribute == kConfigEngine;
        return 0;
    }
    for (const int note : kNotes) {
        if (attribute != note) continue;
        if (count) *count = 0;
        return 0;
    }
    if (count) *count = 1;
    if (value && requested) std::memset(value, 0, type == kInt64 ? 8 : type == kBehaviourNote ? 1 : 4);
    return 0;
}
FAKEGPU_API int cudnnBackendExecute(Handle* handle, BackendDescriptor*, BackendDescriptor*) {
    return work("cudnn convolution", handle);
}
