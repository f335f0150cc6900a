// How good each action of a node looks: pUCT, and at the root of a Gumbel search sequential halving.
#pragma once

#include "min_max.hpp"

namespace xtra {
inline namespace XTRA_ISA {

// EfficientZero's running mean of Q: of the visited children, and below the root of the parent's mean too, which is 0
// at the root.
template <class Team>
XTRA_INLINE float updated_mean_q(const Root<Team>& root, int slot, float parent_mean_q) {
    typename Team::Float counted[Team::chunks];
    for (int chunk = 0; chunk < Team::chunks; ++chunk) {
        counted[chunk] = root.validity(slot, chunk) ? root.team.load(root.tree.q(slot), chunk) : root.team.all(0.0f);
    }
    const int count = root.tree.node(slot).num_children + (slot != 0);
    return (parent_mean_q + root.team.sum(counted)) / static_cast<float>(count > 1 ? count : 1);
}

template <class Team>
XTRA_INLINE void score_puct(const Root<Team>& root, int slot, float mean_q, typename Team::Float* score,
                            typename Team::Int* valid) {
    using Float = typename Team::Float;
    const Team& team = root.team;
    const Rules& rules = root.rules();
    const NodeHeader& node = root.tree.node(slot);
    Float q[Team::chunks];
    for (int chunk = 0; chunk < Team::chunks; ++chunk) {
        valid[chunk] = root.validity(slot, chunk);
        q[chunk] = team.load(root.tree.q(slot), chunk);
    }
    Span span{root.tree.header().low, root.tree.header().scale};
    if (rules.min_max == MinMax::per_node) span = span_of_node(root, slot, q, valid);
    const Float unvisited = team.all(rules.unvisited_min ? span.low : mean_q);
    const Float factor = team.all(root.work.exploration[node.visits - (rules.node_visits ? 0 : 1)]);
    for (int chunk = 0; chunk < Team::chunks; ++chunk) {
        const auto visits = team.load(root.tree.child_visits(slot), chunk);
        const Float raw = visits > 0 ? q[chunk] : unvisited;
        Float value = (raw - span.low) * span.scale;
        value = value < 0.0f ? team.all(0.0f) : value;
        value = value > 1.0f ? team.all(1.0f) : value;
        const Float prior = team.load(root.tree.prior(slot), chunk);
        score[chunk] = factor * prior / (team.to_float(visits) + 1.0f) + value;
    }
}

// Among the actions with as many visits as the plan considers now, by g + logits + sigma(completed Q).
template <class Team>
XTRA_INLINE void score_gumbel(const Root<Team>& root, int simulation, typename Team::Float* score,
                              typename Team::Int* valid) {
    using Float = typename Team::Float;
    using Int = typename Team::Int;
    const Team& team = root.team;
    const Rules& rules = root.rules();
    const TreeHeader& header = root.tree.header();
    Float q[Team::chunks], seen_prior[Team::chunks], seen_q[Team::chunks];
    Int visits[Team::chunks];
    Int most = root.no_action();
    for (int chunk = 0; chunk < Team::chunks; ++chunk) {
        const Float prior = team.load(root.tree.prior(0), chunk);
        q[chunk] = team.load(root.tree.q(0), chunk);
        valid[chunk] = root.validity(0, chunk);
        visits[chunk] = valid[chunk] ? team.load(root.tree.child_visits(0), chunk) : root.no_action();
        most = visits[chunk] > most ? visits[chunk] : most;
        seen_prior[chunk] = visits[chunk] > 0 ? prior : team.all(0.0f);
        seen_q[chunk] = visits[chunk] > 0 ? prior * q[chunk] : team.all(0.0f);
    }
    const float total_prior = team.sum(seen_prior);
    const float weighted_q = team.sum(seen_q) / (total_prior > 1e-30f ? total_prior : 1e-30f);
    const float num_visits = static_cast<float>(root.tree.node(0).visits - 1);
    const float mixed = (header.root_value + num_visits * weighted_q) / (num_visits + 1.0f);
    Float low = team.all(kLargest);
    Float high = team.all(-kLargest);
    for (int chunk = 0; chunk < Team::chunks; ++chunk) {
        q[chunk] = visits[chunk] > 0 ? q[chunk] : team.all(mixed);
        low = (valid[chunk] & (q[chunk] < low)) ? q[chunk] : low;
        high = (valid[chunk] & (q[chunk] > high)) ? q[chunk] : high;
    }
    const float least = team.min(low);
    const float width = team.max(high) - least;
    const float scale = rules.gumbel_value_scale * (rules.gumbel_visit_offset + static_cast<float>(team.max(most)));
    const int considered =
        header.num_valid < rules.max_considered_actions ? header.num_valid : rules.max_considered_actions;
    const int planned = root.work.considered[considered * rules.num_simulations + simulation];
    const float* bias = root.work.root_bias + root.row();
    for (int chunk = 0; chunk < Team::chunks; ++chunk) {
        const Float rescaled = (q[chunk] - least) / (width > rules.gumbel_min_span ? width : rules.gumbel_min_span);
        const Float penalty = visits[chunk] == planned ? team.all(0.0f) : team.all(-1e30f);
        const Float biased = team.load_span(bias, chunk * Team::lanes, root.num_actions(), 0.0f);
        score[chunk] = (biased + scale * rescaled) + penalty;
    }
}

}  // namespace XTRA_ISA
}  // namespace xtra
