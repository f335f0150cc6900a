// One root's search as one team sees it (pack.hpp, warp_team.hpp). The rules that work on it are functions over it, a
// header for each idea; they equal xtra/search/reference.py operation by operation, which says where each rule comes
// from. Compile without contraction of a*b+c.
#pragma once

#include "rules.hpp"

namespace xtra {
inline namespace XTRA_ISA {

template <class Team>
struct Root {
    static constexpr int kChunks = Team::chunks;
    using Float = typename Team::Float;
    using Int = typename Team::Int;

    Team team;
    const Workspace& work;
    const int index;
    const Tree tree;

    XTRA_INLINE Root(Team team, const Workspace& work, int index)
        : team(team), work(work), index(index), tree{work.trees + index * work.layout.tree_bytes, &work.layout} {}

    XTRA_INLINE const Rules& rules() const { return work.rules; }
    XTRA_INLINE int num_actions() const { return work.layout.num_actions; }
    // Where its row of `[B, A]` begins.
    XTRA_INLINE std::int64_t row() const { return static_cast<std::int64_t>(index) * work.layout.num_actions; }

    XTRA_INLINE Int no_action() const { return team.actions(0) & 0; }
    // The mask of its valid actions. Lanes past the row's end have read what lies behind it, and are not valid either.
    XTRA_INLINE Int validity(int slot, int chunk) const {
        const Int valid = team.load(tree.prior(slot), chunk) >= 0.0f;
        if (Team::always_full(chunk)) return valid;
        return valid & (team.actions(chunk) < num_actions());
    }

    // The first failure is kept; the search goes on with 0 in its place, and the caller raises when it has ended.
    XTRA_INLINE float checked(float value, Error error) const {
        if (value >= -kLargest && value <= kLargest) return value;
        fail(error);
        return 0.0f;
    }
    XTRA_INLINE void fail(Error error) const {
        if (team.leader() && failure() == 0) tree.header().error = static_cast<std::int32_t>(error);
    }
    XTRA_INLINE std::int32_t failure() const { return tree.header().error; }
};

}  // namespace XTRA_ISA
}  // namespace xtra
