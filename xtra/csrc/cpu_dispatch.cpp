#include <cstring>

#include "cpu_kernels.hpp"

namespace xtra {

extern const CpuKernels cpu_kernels_portable;
extern const CpuKernels cpu_kernels_emulated_warp;
#if defined(XTRA_X86)
extern const CpuKernels cpu_kernels_avx2;
extern const CpuKernels cpu_kernels_avx512;
#endif

const CpuKernels* find_cpu_kernels(const char* name) {
    if (name && std::strcmp(name, cpu_kernels_emulated_warp.name) == 0) return &cpu_kernels_emulated_warp;
    const auto wanted = [&](const CpuKernels& kernels) {
        return name == nullptr || std::strcmp(name, kernels.name) == 0;
    };
#if defined(XTRA_X86)
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
    if (avx512 && wanted(cpu_kernels_avx512)) return &cpu_kernels_avx512;
    if (avx2 && wanted(cpu_kernels_avx2)) return &cpu_kernels_avx2;
#endif
    return wanted(cpu_kernels_portable) ? &cpu_kernels_portable : nullptr;
}

}  // namespace xtra
