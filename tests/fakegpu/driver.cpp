// The little of the CUDA driver that torch calls directly.
#include "device.hpp"

FAKEGPU_API int cuCtxGetCurrent(void** context) {
    static char instance;
    return *context = &instance, 0;
}
FAKEGPU_API int cuDevicePrimaryCtxRetain(void** context, int) { return cuCtxGetCurrent(context); }
FAKEGPU_API int cuDevicePrimaryCtxGetState(int, unsigned* flags, int* is_active) {
    return *flags = 0, *is_active = 1, 0;
}
