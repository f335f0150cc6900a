// Launches the kernels that nvcc compiled. Compile with --fmad=false: the engines are equal bit for bit.
#include <cuda_runtime.h>

#include "cuda_kernels.cuh"
#include "cuda_kernels.hpp"

namespace xtra {
namespace {

template <int Chunks>
__global__ void begin_kernel(const __grid_constant__ Workspace work, const Outputs outputs, const std::uint8_t* valid,
                             const float* noise) {
    begin_root<Chunks>(work, outputs, valid, noise);
}

template <int Chunks>
__global__ void step_kernel(const __grid_constant__ Workspace work, const Outputs outputs, int simulation) {
    step_root<Chunks>(work, outputs, simulation);
}

const char* describe(cudaError_t error) { return error == cudaSuccess ? nullptr : cudaGetErrorString(error); }

// Makes a device the current one for as long as it lives.
class DeviceGuard {
  public:
    explicit DeviceGuard(int device) : device_(device) {
        if (cudaGetDevice(&before_) != cudaSuccess || before_ != device_) cudaSetDevice(device_);
    }
    ~DeviceGuard() {
        if (before_ != device_) cudaSetDevice(before_);
    }
    DeviceGuard(const DeviceGuard&) = delete;
    DeviceGuard& operator=(const DeviceGuard&) = delete;

  private:
    const int device_;
    int before_ = 0;
};

template <class Kernel, class... Rest>
const char* launch(Kernel kernel, int device, void* stream, const Workspace& work, Rest... rest) {
    const DeviceGuard guard(device);
    const int blocks = (work.num_roots + kWarpsPerBlock - 1) / kWarpsPerBlock;
    kernel<<<blocks, 32 * kWarpsPerBlock, 0, static_cast<cudaStream_t>(stream)>>>(work, rest...);
    return describe(cudaGetLastError());
}

}  // namespace

const char* cuda_probe() {
    cudaFuncAttributes attributes;
    const cudaError_t error = cudaFuncGetAttributes(&attributes, step_kernel<1>);
    cudaGetLastError();  // or torch would meet the error at its next call
    return describe(error);
}

const char* cuda_begin(int device, const Workspace& work, const Outputs& outputs, const std::uint8_t* valid,
                       const float* noise, void* stream) {
    switch (warp_chunks(work.layout.num_actions)) {
        case 1:
            return launch(begin_kernel<1>, device, stream, work, outputs, valid, noise);
        case 2:
            return launch(begin_kernel<2>, device, stream, work, outputs, valid, noise);
        default:
            return launch(begin_kernel<4>, device, stream, work, outputs, valid, noise);
    }
}

const char* cuda_step(int device, const Workspace& work, const Outputs& outputs, int simulation, void* stream) {
    switch (warp_chunks(work.layout.num_actions)) {
        case 1:
            return launch(step_kernel<1>, device, stream, work, outputs, simulation);
        case 2:
            return launch(step_kernel<2>, device, stream, work, outputs, simulation);
        default:
            return launch(step_kernel<4>, device, stream, work, outputs, simulation);
    }
}

}  // namespace xtra
