// A warp of 32 threads on the CPU: the CUDA path where there is no GPU, for tests. Slow; a missing sync() is a race
// that TSan sees.
#include <barrier>
#include <cstring>
#include <thread>
#include <vector>

#define XTRA_ISA emulated_warp
#include "cpu_kernels.hpp"
#include "search.hpp"
#include "shift.hpp"
#include "warp_team.hpp"

namespace xtra {
namespace {

struct Exchange {
    std::barrier<> everyone{32};
    std::uint32_t slots[2][32];
    int turns[32] = {};  // each lane's own
};

class EmulatedLanes {
  public:
    EmulatedLanes(Exchange* exchange, int lane) : exchange_(exchange), lane_(lane) {}

    int lane() const { return lane_; }
    void sync() const { exchange_->everyone.arrive_and_wait(); }

    // Two sets of slots in turn: nobody writes a set that a slower lane may still be reading.
    template <class Value>
    Value from_lane(Value value, int distance) const {
        static_assert(sizeof(Value) == 4);
        std::uint32_t* slots = exchange_->slots[exchange_->turns[lane_] ^= 1];
        std::memcpy(&slots[lane_], &value, 4);
        exchange_->everyone.arrive_and_wait();
        Value received;
        std::memcpy(&received, &slots[lane_ ^ distance], 4);
        return received;
    }

    std::uint32_t ballot(bool here) const {
        std::uint32_t bits = here ? 1u << lane_ : 0u;
        for (int distance = 16; distance > 0; distance /= 2) bits |= from_lane(bits, distance);
        return bits;
    }

  private:
    Exchange* exchange_;
    int lane_;
};

bool all_well(const Workspace& work, int first, int last) {
    bool failed = false;
    for (int root = first; root < last; ++root) {
        failed |= Tree{work.trees + root * work.layout.tree_bytes, &work.layout}.header().error != 0;
    }
    return !failed;
}

template <int Chunks, class Run>
void run_roots(const Workspace& work, int first, int last, Run run) {
    Exchange exchange;
    std::vector<std::thread> lanes;
    for (int lane = 0; lane < 32; ++lane) {
        lanes.emplace_back([&, lane] {
            const WarpTeam<EmulatedLanes, Chunks> team{EmulatedLanes(&exchange, lane), work.layout.num_actions};
            for (int root = first; root < last; ++root) run(Root(team, work, root));
        });
    }
    for (std::thread& lane : lanes) lane.join();
}

template <class Run>
void with_chunks(const Workspace& work, int first, int last, Run run) {
    switch (warp_chunks(work.layout.num_actions)) {
        case 1:
            return run_roots<1>(work, first, last, run);
        case 2:
            return run_roots<2>(work, first, last, run);
        default:
            return run_roots<4>(work, first, last, run);
    }
}

void reset(const Workspace& work, const std::uint8_t* valid, int first, int last) {
    with_chunks(work, first, last, [&](const auto& root) { reset(root, valid); });
}

void shift(const Workspace& work, const float* logits, float* shifted, int first, int last) {
    with_chunks(work, first, last, [&](const auto& root) { shift(root, logits, shifted); });
}

bool begin(const Workspace& work, const Outputs& outputs, const float* noise, int first, int last) {
    with_chunks(work, first, last, [&](const auto& root) { begin(root, outputs, noise); });
    return all_well(work, first, last);
}

bool step(const Workspace& work, const Outputs& outputs, int simulation, int first, int last) {
    with_chunks(work, first, last, [&](const auto& root) { step(root, outputs, simulation); });
    return all_well(work, first, last);
}

}  // namespace

extern const CpuKernels cpu_kernels_emulated_warp;
const CpuKernels cpu_kernels_emulated_warp = {"emulated_warp", reset, shift, begin, step};

}  // namespace xtra
