// Compiled once per instruction set, with XTRA_ISA naming it.
#include "cpu_kernels.hpp"

#include <algorithm>

#include "pack.hpp"
#include "search.hpp"
#include "shift.hpp"
#include "walks.hpp"

namespace xtra {
inline namespace XTRA_ISA {
namespace {

// Calls `run` with the team whose rows are as wide as the layout says, and with a copy of the workspace: one that the
// compiler can see nobody else writes to.
template <class Run>
XTRA_INLINE auto with_team(const Workspace& work, Run run) {
    switch (padded_actions(work.layout.num_actions) / 8) {
        case 1:
            return run(PackTeam<1>{}, Workspace(work));
        case 2:
            return run(PackTeam<2>{}, Workspace(work));
        case 3:
            return run(PackTeam<3>{}, Workspace(work));
        case 4:
            return run(PackTeam<4>{}, Workspace(work));
        case 8:
            return run(PackTeam<8>{}, Workspace(work));
        default:
            return run(PackTeam<16>{}, Workspace(work));
    }
}

void reset(const Workspace& shared, const std::uint8_t* valid, int first, int last) {
    with_team(shared, [=](auto team, Workspace work) {
        for (int index = first; index < last; ++index) reset(Root(team, work, index), valid);
    });
}

void shift(const Workspace& shared, const float* logits, float* shifted, int first, int last) {
    with_team(shared, [=](auto team, Workspace work) {
        for (int index = first; index < last; ++index) shift(Root(team, work, index), logits, shifted);
    });
}

bool begin(const Workspace& shared, const Outputs& outputs, const float* noise, int first, int last) {
    return with_team(shared, [=](auto team, Workspace work) {
        bool failed = false;
        for (int index = first; index < last; ++index) {
            const Root root(team, work, index);
            begin(root, outputs, noise);
            failed |= root.failure() != 0;
        }
        return !failed;
    });
}

bool step(const Workspace& shared, const Outputs& outputs, int simulation, int first, int last) {
    return with_team(shared, [=](auto team, Workspace work) {
        bool failed = false;
        for (int begin = first; begin < last; begin += kBlock) {
            const int end = std::min(begin + kBlock, last);
            for (int index = begin; index < end; ++index) {
                const Root root(team, work, index);
                expand(root, outputs, simulation);
                backward(root, outputs, simulation);
                failed |= root.failure() != 0;
            }
            if (simulation + 1 == work.rules.num_simulations) {
                for (int index = begin; index < end; ++index) summarize(Root(team, work, index));
                continue;
            }
            for (int index = begin; index < end; ++index) measure_span(Root(team, work, index), simulation + 1);
            select_together(team, work, simulation + 1, begin, end);
        }
        return !failed;
    });
}

}  // namespace
}  // namespace XTRA_ISA

#define XTRA_QUOTE(name) #name
#define XTRA_NAME(name) XTRA_QUOTE(name)
#define XTRA_JOIN(a, b) a##b
#define XTRA_SYMBOL(isa) XTRA_JOIN(cpu_kernels_, isa)

extern const CpuKernels XTRA_SYMBOL(XTRA_ISA);
const CpuKernels XTRA_SYMBOL(XTRA_ISA) = {XTRA_NAME(XTRA_ISA), reset, shift, begin, step};

}  // namespace xtra
