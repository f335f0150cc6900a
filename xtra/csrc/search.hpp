// The search of ONE tree by one team: its parts, and their order where nothing but this tree is at hand (a warp). The
// CPU does the same parts for several roots at a time (cpu_kernels.cpp).
#pragma once

#include "expand.hpp"
#include "pick.hpp"
#include "recurrent.hpp"
#include "score.hpp"

namespace xtra {
inline namespace XTRA_ISA {

// The planted root's edges and value. `noise`: `[B, A]` or null.
template <class Team>
XTRA_INLINE void open(const Root<Team>& root, const Outputs& outputs, const float* noise) {
    fill_edges(root, 0, outputs.weights);
    if (noise) add_noise(root, noise);
    if (root.rules().policy == RootPolicy::gumbel) check_bias(root);
    if (root.team.leader()) {
        NodeHeader& node = root.tree.node(0);
        node.value_sum = root.tree.header().root_value = root.checked(outputs.values[root.index], Error::value);
        node.visits = 1;
    }
    store_recurrent(root, outputs, 0);
    root.team.sync();
}

// Expands the leaf that simulation `simulation` selected, and backs its value up.
template <class Team>
XTRA_INLINE void grow(const Root<Team>& root, const Outputs& outputs, int simulation) {
    const int slot = simulation + 1;
    fill_edges(root, slot, outputs.weights);
    if (root.team.leader()) {
        attach(root, slot, root.checked(outputs.value_prefixes[root.index], Error::value_prefix));
        back_up(root, slot, root.checked(outputs.values[root.index], Error::value));
    }
    root.team.sync();
    if (slot < root.rules().num_simulations) store_recurrent(root, outputs, slot);
}

// How far a selection has come.
struct Walk {
    int slot = 0;
    int depth = 0;
    float mean_q = 0.0f;
};

// What it does at a node: the action, the child there or kNoNode, the node's mean Q.
struct Move {
    int action, child;
    float mean_q;
};

template <class Team>
XTRA_INLINE Move choose(const Root<Team>& root, const Walk& walk, int simulation) {
    typename Team::Float score[Team::chunks];
    typename Team::Int valid[Team::chunks];
    const float mean_q = updated_mean_q(root, walk.slot, walk.mean_q);
    if (walk.slot == 0 && root.rules().policy == RootPolicy::gumbel) {
        score_gumbel(root, simulation, score, valid);
    } else {
        score_puct(root, walk.slot, mean_q, score, valid);
    }
    const int action = pick(root, score, valid, simulation, walk.depth);
    return {action, root.tree.child(walk.slot)[action], mean_q};
}

// Tells the next inference, and the expansion after it, which edge was selected.
template <class Team>
XTRA_INLINE void settle(const Root<Team>& root, int slot, int action) {
    if (root.team.leader()) {
        root.tree.header().leaf_parent = slot;
        root.tree.header().leaf_action = action;
        root.work.leaf_actions[root.index] = action;
        root.work.leaf_parents[root.index] = slot;
        root.work.leaf_is_reset[root.index] = root.tree.node(slot).phase + 1 == root.rules().lstm_horizon;
    }
    root.team.sync();
    load_recurrent(root);
}

template <class Team>
XTRA_INLINE void select(const Root<Team>& root, int simulation) {
    for (Walk walk;;) {
        const Move move = choose(root, walk, simulation);
        if (move.child == kNoNode) return settle(root, walk.slot, move.action);
        walk = {move.child, walk.depth + 1, move.mean_q};
    }
}

template <class Team>
XTRA_INLINE void report(const Root<Team>& root) {
    const float* q = root.tree.q(0);
    const std::uint16_t* child_visits = root.tree.child_visits(0);
    root.team.for_actions(root.num_actions(), [&](int action) {
        root.work.root_visits[root.row() + action] = child_visits[action];
        root.work.root_q[root.row() + action] = q[action];
    });
    const NodeHeader& node = root.tree.node(0);
    if (root.team.leader()) root.work.root_values[root.index] = node.value_sum / static_cast<float>(node.visits);
}

template <class Team>
XTRA_INLINE void begin(const Root<Team>& root, const Outputs& outputs, const float* noise) {
    open(root, outputs, noise);
    select(root, 0);
}

template <class Team>
XTRA_INLINE void step(const Root<Team>& root, const Outputs& outputs, int simulation) {
    grow(root, outputs, simulation);
    if (simulation + 1 == root.rules().num_simulations) return report(root);
    measure_span(root, simulation + 1);
    root.team.sync();
    select(root, simulation + 1);
}

}  // namespace XTRA_ISA
}  // namespace xtra
