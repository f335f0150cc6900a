// The CPU's kernels, compiled once per instruction set and chosen when the process starts. All give the same bits.
#pragma once

#include "rules.hpp"

namespace xtra {

struct CpuKernels {
    const char* name;
    // All work on roots first, …, last - 1. Flags and rows are `[B, A]`; the last two return whether all is well.
    void (*reset)(const Workspace&, const std::uint8_t* valid, int first, int last);
    // Logits less the largest valid one of their row; -inf where not valid. Their exponentials are weights.
    void (*shift)(const Workspace&, const float* logits, float* shifted, int first, int last);
    bool (*begin)(const Workspace&, const Outputs&, const float* noise, int first, int last);
    bool (*step)(const Workspace&, const Outputs&, int simulation, int first, int last);
};

// The best that this processor runs, or the one called `name`; null if there is none of that name here.
const CpuKernels* find_cpu_kernels(const char* name = nullptr);

}  // namespace xtra
