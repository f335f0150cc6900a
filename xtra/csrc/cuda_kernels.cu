// Compile with --fmad=false: the engines are equal bit for bit.
#include <cuda_runtime.h>

#include "cuda_kernels.hpp"
#include "search.hpp"
#include "warp_team.hpp"

namespace xtra {
namespace {

constexpr int kWarpsPerBlock = 4;

struct CudaLanes {
    __device__ __forceinline__ int lane() const { return threadIdx.x % 32; }
    __device__ __forceinline__ void sync() const { __syncwarp(); }
    __device__ __forceinline__ std::uint32_t ballot(bool here) const { return __ballot_sync(0xFFFFFFFFu, here); }
    template <class Value>
    __device__ __forceinline__ Value from_lane(Value value, int distance) const {
        return __shfl_xor_sync(0xFFFFFFFFu, value, distance);
    }
};

__device__ __forceinline__ int root_of_warp() { return (blockIdx.x * blockDim.x + threadIdx.x) / 32; }

template <int Chunks>
__global__ void begin_kernel(const __grid_constant__ Workspace work, const Outputs outputs, const bool* valid,
                             const float* noise) {
    const int index = root_of_warp();
    if (index >= work.num_roots) return;
    const Root root(WarpTeam<CudaLanes, Chunks>{{}, work.layout.num_actions}, work, index);
    reset(root, valid);
    begin(root, outputs, noise);
}

template <int Chunks>
__global__ void step_kernel(const __grid_constant__ Workspace work, const Outputs outputs, int simulation) {
    const int index = root_of_warp();
    if (index >= work.num_roots) return;
    step(Root(WarpTeam<CudaLanes, Chunks>{{}, work.layout.num_actions}, work, index), outputs, simulation);
}

template <class Kernel, class... Rest>
const char* launch(Kernel kernel, void* stream, const Workspace& work, Rest... rest) {
    const int blocks = (work.num_roots + kWarpsPerBlock - 1) / kWarpsPerBlock;
    kernel<<<blocks, 32 * kWarpsPerBlock, 0, static_cast<cudaStream_t>(stream)>>>(work, rest...);
    const cudaError_t error = cudaGetLastError();
    return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

}  // namespace

const char* cuda_begin(const Workspace& work, const Outputs& outputs, const bool* valid, const float* noise,
                       void* stream) {
    switch (warp_chunks(work.layout.num_actions)) {
        case 1:
            return launch(begin_kernel<1>, stream, work, outputs, valid, noise);
        case 2:
            return launch(begin_kernel<2>, stream, work, outputs, valid, noise);
        default:
            return launch(begin_kernel<4>, stream, work, outputs, valid, noise);
    }
}

const char* cuda_step(const Workspace& work, const Outputs& outputs, int simulation, void* stream) {
    switch (warp_chunks(work.layout.num_actions)) {
        case 1:
            return launch(step_kernel<1>, stream, work, outputs, simulation);
        case 2:
            return launch(step_kernel<2>, stream, work, outputs, simulation);
        default:
            return launch(step_kernel<4>, stream, work, outputs, simulation);
    }
}

}  // namespace xtra
