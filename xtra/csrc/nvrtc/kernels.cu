// What NVRTC compiles: the kernels for rows of one width, XTRA_CHUNKS chunks of 32 actions, under names that the driver
// finds. NVRTC has neither standard headers, which stand beside this file, nor the host compiler's infinity.
#define __builtin_inff() __int_as_float(0x7f800000)

#include "../cuda_kernels.cuh"

extern "C" __global__ void begin_kernel(const __grid_constant__ xtra::Workspace work, const xtra::Outputs outputs,
                                        const std::uint8_t* valid, const float* noise) {
    xtra::begin_root<XTRA_CHUNKS>(work, outputs, valid, noise);
}

extern "C" __global__ void step_kernel(const __grid_constant__ xtra::Workspace work, const xtra::Outputs outputs,
                                       int simulation) {
    xtra::step_root<XTRA_CHUNKS>(work, outputs, simulation);
}
