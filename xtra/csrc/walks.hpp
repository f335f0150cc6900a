// The selections of several roots at once. One alone is a chain of loads, each waiting for the one before it, and where
// it ends no processor can predict. So four walk in turn without a branch on what they find, and a walk that has come
// to its leaf goes on as the next root's.
#pragma once

#include <cstring>

#include "search.hpp"

namespace xtra {
inline namespace XTRA_ISA {

constexpr int kBlock = 32;  // roots whose trees stay in the core's cache between the parts of a step
constexpr int kWalks = 4;

// `mask` is 0 or all ones.
XTRA_INLINE int choose_if(int mask, int yes, int no) { return no ^ ((no ^ yes) & mask); }
XTRA_INLINE float zero_if(int mask, float value) {
    std::int32_t bits;
    std::memcpy(&bits, &value, 4);
    bits &= ~mask;
    std::memcpy(&value, &bits, 4);
    return value;
}

// For roots first, …, last - 1, of which there are at most kBlock.
template <class Team>
XTRA_INLINE void select_together(Team team, const Workspace& work, int simulation, int first, int last) {
    struct Leaf {
        int slot, action;
    };
    Leaf leaves[kBlock];
    Walk walks[kWalks];
    int roots[kWalks];
    int next = first, active = 0;
    while (active < kWalks && next < last) roots[active++] = next++;
    while (active > 0) {
        for (int turn = 0; turn < active; ++turn) {
            Walk& walk = walks[turn];
            const int index = roots[turn];
            const Move move = choose(Root(team, work, index), walk, simulation);
            leaves[index - first] = {walk.slot, move.action};  // the last one stays
            const int arrived = move.child >> 31;
            static_assert(kNoNode == -1);
            walk.slot = move.child & ~arrived;
            walk.depth = (walk.depth + 1) & ~arrived;
            walk.mean_q = zero_if(arrived, move.mean_q);
            roots[turn] = choose_if(arrived, next, index);
            next -= arrived;
            if (roots[turn] >= last) {  // seldom: no root is left to go on with
                --active;
                walk = walks[active];
                roots[turn--] = roots[active];
            }
        }
    }
    for (int index = first; index < last; ++index) {
        const Leaf& leaf = leaves[index - first];
        set_leaf(Root(team, work, index), leaf.slot, leaf.action);
    }
}

}  // namespace XTRA_ISA
}  // namespace xtra
