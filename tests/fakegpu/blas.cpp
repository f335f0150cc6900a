// cuBLAS and cuBLASLt as torch calls them; each library exports its own part.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "device.hpp"

namespace {

constexpr int kExecutionFailed = 13;

struct Handle {
    void* stream;
    int math_mode, pointer_mode;
};
struct Heuristic {
    std::uint64_t algorithm[8];
    std::size_t workspace_bytes;
    int status;
    float waves;
    int reserved[4];
};

}  // namespace

FAKEGPU_API int cublasCreate_v2(Handle** handle) { return *handle = new Handle{}, 0; }
FAKEGPU_API int cublasSetStream_v2(Handle* handle, void* stream) { return handle->stream = stream, 0; }
FAKEGPU_API int cublasSetWorkspace_v2(Handle*, void*, std::size_t) { return 0; }
FAKEGPU_API int cublasGetMathMode(Handle* handle, int* mode) { return *mode = handle->math_mode, 0; }
FAKEGPU_API int cublasSetMathMode(Handle* handle, int mode) { return handle->math_mode = mode, 0; }
FAKEGPU_API int cublasGetPointerMode_v2(Handle* handle, int* mode) { return *mode = handle->pointer_mode, 0; }
FAKEGPU_API int cublasSetPointerMode_v2(Handle* handle, int mode) { return handle->pointer_mode = mode, 0; }

#define PRODUCT(name) \
    FAKEGPU_API int name(Handle* handle) { return fakegpu_work(#name, handle->stream) == 0 ? 0 : kExecutionFailed; }
PRODUCT(cublasSgemm_v2)
PRODUCT(cublasDgemm_v2)
PRODUCT(cublasGemmEx)
PRODUCT(cublasSgemmEx)
PRODUCT(cublasSgemmBatched)
PRODUCT(cublasSgemmStridedBatched)
PRODUCT(cublasGemmStridedBatchedEx)
PRODUCT(cublasSgemv_v2)
PRODUCT(cublasDotEx)
PRODUCT(cublasSdot_v2)
PRODUCT(cublasDdot_v2)

#define DESCRIPTOR(name) \
    FAKEGPU_API int name(void** descriptor) { return *descriptor = new char[64](), 0; }
DESCRIPTOR(cublasLtMatmulDescCreate)
DESCRIPTOR(cublasLtMatmulPreferenceCreate)
DESCRIPTOR(cublasLtMatrixLayoutCreate)

FAKEGPU_API std::size_t cublasLtGetVersion() { return 130000; }
FAKEGPU_API int cublasLtMatmulAlgoGetHeuristic(void*, void*, void*, void*, void*, void*, void*, int,
                                               Heuristic* heuristic, int* count) {
    *heuristic = {};
    return *count = 1, 0;
}
FAKEGPU_API int cublasLtMatmul(void*, void*, const void*, const void*, void*, const void*, void*, const void*,
                               const void*, void*, void*, void*, const void*, void*, std::size_t, void* stream) {
    return fakegpu_work("cublasLtMatmul", stream) == 0 ? 0 : kExecutionFailed;
}
