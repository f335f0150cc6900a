// The CUDA engine on the device: one warp a root, kWarpsPerBlock warps a block. Compiled by nvcc with the package
// (cuda_kernels.cu), or by NVRTC at its first use (nvrtc/kernels.cu); both with --fmad=false: the engines are equal bit
// for bit.
#pragma once

#include "search.hpp"
#include "warp_team.hpp"

namespace xtra {

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

// Root `root_of_warp()` as a team of one warp sees it, its rows in `Chunks` chunks of 32 actions.
template <int Chunks>
__device__ __forceinline__ void begin_root(const Workspace& work, const Outputs& outputs, const std::uint8_t* valid,
                                           const float* noise) {
    const int index = root_of_warp();
    if (index >= work.num_roots) return;
    const Root root(WarpTeam<CudaLanes, Chunks>{{}, work.layout.num_actions}, work, index);
    reset(root, valid);
    begin(root, outputs, noise);
}

template <int Chunks>
__device__ __forceinline__ void step_root(const Workspace& work, const Outputs& outputs, int simulation) {
    const int index = root_of_warp();
    if (index >= work.num_roots) return;
    step(Root(WarpTeam<CudaLanes, Chunks>{{}, work.layout.num_actions}, work, index), outputs, simulation);
}

}  // namespace xtra
