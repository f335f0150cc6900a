// The search of ONE tree by one team: its parts, and their order where nothing but this tree is at hand (a warp). The
// CPU does the same parts for several roots at a time (cpu_kernels.cpp).
#pragma once

#include "expand.hpp"
#include "pick.hpp"
#include "recurrent.hpp"
#include "score.hpp"

namespace xtra {
inline namespace XTRA_ISA {

// Gives the root its edges and its value. `noise`: `[B, A]` or null.
template <class Team>
XTRA_INLINE void expand_root(const Root<Team>& root, const Outputs& outputs, const float* noise) {
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

// Expands the edge that simulation `simulation` selected.
template <class Team>
XTRA_INLINE void expand(const Root<Team>& root, const Outputs& outputs, int simulation) {
    const int slot = simulation + 1;
    fill_edges(root, slot, outputs.weights);
    if (root.team.leader()) {
        attach(root, slot, root.checked(outputs.value_prefixes[root.index], Error::value_prefix));
    }
    root.team.sync();
    if (slot < root.rules().num_simulations) store_recurrent(root, outputs, slot);
}

// Backs the new node's value up.
template <class Team>
XTRA_INLINE void backward(const Root<Team>& root, const Outputs& outputs, int simulation) {
    if (root.team.leader()) {
        back_up(root, simulation + 1, root.checked(outputs.values[root.index], Error::value));
    }
    root.team.sync();
}

// A selection under way: the node it has come to.
struct Walk {
    int slot = 0;
    int depth = 0;
    float mean_q = 0.0f;
};

// One step of a selection: the action, the child it leads to or kNoNode, the mean Q of the node it was chosen at.
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

// Makes the selected edge the one that the next inference reads and `expand` then expands.
template <class Team>
XTRA_INLINE void set_leaf(const Root<Team>& root, int slot, int action) {
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
        if (move.child == kNoNode) return set_leaf(root, walk.slot, move.action);
        walk = {move.child, walk.depth + 1, move.mean_q};
    }
}

// Copies the root's visits, Q and value to the results.
template <class Team>
XTRA_INLINE void summarize(const Root<Team>& root) {
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
    expand_root(root, outputs, noise);
    select(root, 0);
}

template <class Team>
XTRA_INLINE void step(const Root<Team>& root, const Outputs& outputs, int simulation) {
    expand(root, outputs, simulation);
    backward(root, outputs, simulation);
    if (simulation + 1 == root.rules().num_simulations) return summarize(root);
    measure_span(root, simulation + 1);
    root.team.sync();
    select(root, simulation + 1);
}

}  // namespace XTRA_ISA
}  // namespace xtra
