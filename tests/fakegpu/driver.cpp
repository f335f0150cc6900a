// The little of the CUDA driver that torch calls directly, and that kernels compiled at run time need.
#include <cstring>

#include "device.hpp"

FAKEGPU_API int cuCtxGetCurrent(void** context) {
    static char instance;
    return *context = &instance, 0;
}
FAKEGPU_API int cuDevicePrimaryCtxRetain(void** context, int) { return cuCtxGetCurrent(context); }
FAKEGPU_API int cuDevicePrimaryCtxGetState(int, unsigned* flags, int* is_active) {
    return *flags = 0, *is_active = 1, 0;
}
FAKEGPU_API int cuDriverGetVersion(int* version) { return *version = 13000, 0; }
FAKEGPU_API int cuGetErrorString(int, const char** text) { return *text = "an error of the fake driver", 0; }

// A module is machine code or nothing: its kernels are known by name and never run.
FAKEGPU_API int cuModuleLoadData(void** module, const char* image) {
    constexpr int kInvalidImage = 200;
    if (std::memcmp(image, "\177ELF", 4) != 0) return kInvalidImage;
    static char instance;
    return *module = &instance, 0;
}
FAKEGPU_API int cuModuleGetFunction(void** function, void*, const char* name) {
    return *function = strdup(name), 0;  // for as long as the process lives, as modules do
}
FAKEGPU_API int cuLaunchKernel(void* function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                               void* stream, void**, void**) {
    char what[256] = "kernel ";
    std::strncat(what, static_cast<const char*>(function), sizeof what - 8);
    return fakegpu_work(what, stream);
}
