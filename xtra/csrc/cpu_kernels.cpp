// Compiled once per instruction set, with XTRA_ISA naming it.
#include "cpu_kernels.hpp"

#include "pack.hpp"
#include "search.hpp"

namespace xtra {
inline namespace XTRA_ISA {
namespace {

// Calls `run` with the team whose rows are as wide as the layout says.
template <class Run>
XTRA_INLINE void with_team(const Workspace& work, Run run) {
    switch (padded_actions(work.layout.num_actions) / 8) {
        case 1:
            return run(PackTeam<1>{});
        case 2:
            return run(PackTeam<2>{});
        case 3:
            return run(PackTeam<3>{});
        case 4:
            return run(PackTeam<4>{});
        case 8:
            return run(PackTeam<8>{});
        default:
            return run(PackTeam<16>{});
    }
}

void begin(const Workspace& work, const Outputs& outputs, const bool* valid, int first, int last) {
    with_team(work, [&](auto team) {
        for (int root = first; root < last; ++root) Search(team, work, root).begin(outputs, valid);
    });
}

void step(const Workspace& work, const Outputs& outputs, int simulation, int first, int last) {
    with_team(work, [&](auto team) {
        for (int root = first; root < last; ++root) Search(team, work, root).step(outputs, simulation);
    });
}

}  // namespace
}  // namespace XTRA_ISA

#define XTRA_QUOTE(name) #name
#define XTRA_NAME(name) XTRA_QUOTE(name)
#define XTRA_JOIN(a, b) a##b
#define XTRA_SYMBOL(isa) XTRA_JOIN(cpu_kernels_, isa)

extern const CpuKernels XTRA_SYMBOL(XTRA_ISA);
const CpuKernels XTRA_SYMBOL(XTRA_ISA) = {XTRA_NAME(XTRA_ISA), begin, step};

}  // namespace xtra
