// The CPU's kernels, compiled once per instruction set and chosen when the process starts. All give the same bits.
#pragma once

#include "rules.hpp"

namespace xtra {

struct CpuKernels {
    const char* name;
    // Both work on roots first, …, last - 1.
    void (*begin)(const Workspace&, const Outputs&, const bool* valid, int first, int last);
    void (*step)(const Workspace&, const Outputs&, int simulation, int first, int last);
};

// The best that this processor runs, or the one called `name`; null if there is none of that name here.
const CpuKernels* find_cpu_kernels(const char* name = nullptr);

}  // namespace xtra
