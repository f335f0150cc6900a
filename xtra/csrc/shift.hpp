// What a softmax does before its exponential, which is left to the caller (ARCHITECTURE.md: no transcendental here).
#pragma once

#include "root.hpp"

namespace xtra {
inline namespace XTRA_ISA {

template <class Team>
XTRA_INLINE void shift(const Root<Team>& root, const float* logits, float* shifted) {
    using Float = typename Team::Float;
    const Team& team = root.team;
    const Float lowest = team.all(-__builtin_inff());
    Float logit[Team::chunks];
    Float largest = lowest;
    for (int chunk = 0; chunk < Team::chunks; ++chunk) {
        const Float given = team.load_span(logits + root.row(), chunk * Team::lanes, root.num_actions(), 0.0f);
        logit[chunk] = root.validity(0, chunk) ? given : lowest;
        largest = logit[chunk] > largest ? logit[chunk] : largest;
    }
    const float most = team.max(largest);
    for (int chunk = 0; chunk < Team::chunks; ++chunk) {
        team.store_span(shifted + root.row(), chunk * Team::lanes, root.num_actions(), logit[chunk] - most);
    }
}

}  // namespace XTRA_ISA
}  // namespace xtra
