// The best of a row of scores, and what is done about ties.
#pragma once

#include "root.hpp"

namespace xtra {
inline namespace XTRA_ISA {

constexpr float kTieTolerance = 1e-6f;

XTRA_INLINE std::uint64_t mix(std::uint64_t seed, int simulation, int depth) {
    const std::uint64_t counter =
        (static_cast<std::uint64_t>(simulation) << 16) + static_cast<std::uint64_t>(depth) + 1;
    std::uint64_t state = seed + 0x9E3779B97F4A7C15ull * counter;
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9ull;
    state = (state ^ (state >> 27)) * 0x94D049BB133111EBull;
    return state ^ (state >> 31);
}

template <class Key>
XTRA_INLINE Key tie_key(std::uint64_t state, Key action) {
    Key key = action * 0x9E3779B9u + static_cast<std::uint32_t>(state);
    key = (key ^ (key >> 16) ^ static_cast<std::uint32_t>(state >> 32)) * 0x85EBCA6Bu;
    key = (key ^ (key >> 13)) * 0xC2B2AE35u;
    return key ^ (key >> 16);
}

// The tied action of the greatest key, whose last 7 bits put the lowest index first.
template <class Team>
XTRA_INLINE int break_tie(const Root<Team>& root, const typename Team::Int* tied, int simulation, int depth) {
    using Key = typename Team::Key;
    const std::uint64_t state = mix(root.tree.header().seed, simulation, depth);
    Key greatest = root.team.to_key(root.no_action());
    for (int chunk = 0; chunk < Team::chunks; ++chunk) {
        const Key action = root.team.to_key(root.team.actions(chunk));
        Key key = (tie_key(state, action) & ~127u) | (127u - action);
        key = tied[chunk] ? key : greatest;
        greatest = key > greatest ? key : greatest;
    }
    return 127 - static_cast<int>(root.team.max(greatest) & 127u);
}

// The valid action of the best score; among ties by seed, or the lowest index. With no valid action at all, which is an
// error by now, action 0.
template <class Team>
XTRA_INLINE int pick(const Root<Team>& root, const typename Team::Float* score, const typename Team::Int* valid,
                     int simulation, int depth) {
    constexpr int kWords = (Team::chunks * Team::lanes + 31) / 32;
    using Float = typename Team::Float;
    const Team& team = root.team;
    Float best = team.all(-__builtin_inff());
    for (int chunk = 0; chunk < Team::chunks; ++chunk) {
        const Float here = valid[chunk] ? score[chunk] : best;
        best = here > best ? here : best;
    }
    const float threshold = team.max(best) - kTieTolerance;
    typename Team::Int tied[Team::chunks];
    std::uint32_t words[kWords] = {};
    for (int chunk = 0; chunk < Team::chunks; ++chunk) {
        tied[chunk] = score[chunk] < threshold ? root.no_action() : valid[chunk];
        words[chunk * Team::lanes / 32] |= team.ballot(tied[chunk]) << (chunk * Team::lanes % 32);
    }
    int num_tied = 0, lowest = 0;
    for (int word = kWords - 1; word >= 0; --word) {
        num_tied += count_bits(words[word]);
        if (words[word] != 0) lowest = 32 * word + lowest_bit(words[word]);
    }
    return num_tied > 1 && root.work.seeds ? break_tie(root, tied, simulation, depth) : lowest;
}

}  // namespace XTRA_ISA
}  // namespace xtra
