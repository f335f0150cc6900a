// Expansion and the backward pass: what an inference adds to a tree.
#pragma once

#include "root.hpp"

namespace xtra {
inline namespace XTRA_ISA {

// Empties a tree but for its root, whose edges say which actions are valid. `valid`: `[B, A]`, bytes, since a mask that
// was made by a view of others need not have ones.
template <class Team>
XTRA_INLINE void reset(const Root<Team>& root, const std::uint8_t* valid) {
    const std::uint8_t* row = valid + root.row();
    for (int chunk = 0; chunk < Team::chunks; ++chunk) {
        const auto here = root.team.load_flags(row, chunk, root.num_actions());
        root.team.store(root.tree.prior(0), chunk, here ? root.team.all(0.0f) : root.team.all(kInvalidPrior));
    }
    if (!root.team.leader()) return;
    TreeHeader& header = root.tree.header();
    header = {};
    header.seed = root.work.seeds ? root.work.seeds[root.index] : 0;
    header.scale = 1.0f;
    for (int action = 0; action < root.num_actions(); ++action) header.num_valid += row[action] != 0;
    if (header.num_valid == 0) root.fail(Error::valid_actions);
    NodeHeader& node = root.tree.node(0);
    node = {};
    node.parent = node.action = node.next = kNoNode;
}

// A node's edges. Priors are the valid actions' weights, divided by their sum.
template <class Team>
XTRA_INLINE void fill_edges(const Root<Team>& root, int slot, const float* weights) {
    using Float = typename Team::Float;
    const Team& team = root.team;
    const Tree& tree = root.tree;
    const Float nothing = team.all(0.0f);
    Float weight[Team::chunks];
    typename Team::Int valid[Team::chunks];
    for (int chunk = 0; chunk < Team::chunks; ++chunk) {
        valid[chunk] = root.validity(0, chunk);
        const Float given = team.load_span(weights + root.row(), chunk * Team::lanes, root.num_actions(), 0.0f);
        weight[chunk] = valid[chunk] ? given : nothing;
    }
    const float total = team.sum(weight);
    const bool usable = total > 0.0f && total <= kLargest;
    if (!usable) root.fail(Error::policy_logits);
    for (int chunk = 0; chunk < Team::chunks; ++chunk) {
        const Float prior = usable ? weight[chunk] / total : nothing;
        team.store(tree.prior(slot), chunk, valid[chunk] ? prior : team.all(kInvalidPrior));
    }
    for (int chunk = 0; chunk < Team::chunks; ++chunk) team.store(tree.q(slot), chunk, nothing);
    for (int chunk = 0; chunk < Team::chunks; ++chunk) team.store(tree.child_visits(slot), chunk, 0);
    for (int chunk = 0; chunk < Team::chunks; ++chunk) team.store(tree.child(slot), chunk, kNoNode);
}

// Moves the root's priors towards `noise`, `[B, A]`.
template <class Team>
XTRA_INLINE void add_noise(const Root<Team>& root, const float* noise) {
    using Float = typename Team::Float;
    const Team& team = root.team;
    auto bad = root.no_action();
    for (int chunk = 0; chunk < Team::chunks; ++chunk) {
        const auto valid = root.validity(0, chunk);
        const Float prior = team.load(root.tree.prior(0), chunk);
        const Float target = team.load_span(noise + root.row(), chunk * Team::lanes, root.num_actions(), 0.0f);
        const Float mixed = prior + root.rules().root_exploration_fraction * (target - prior);
        const auto usable = (mixed >= 0.0f) & (mixed <= kLargest);
        bad = bad | (usable ? root.no_action() : valid);
        team.store_span(root.tree.prior(0), chunk * Team::lanes, root.num_actions(), (valid & usable) ? mixed : prior);
    }
    if (team.ballot(bad) != 0) root.fail(Error::noise);
}

// A Gumbel search's noise is in its scores, of which -inf is the least, as of logits.
template <class Team>
XTRA_INLINE void check_bias(const Root<Team>& root) {
    const float* bias = root.work.root_bias + root.row();
    for (int chunk = 0; chunk < Team::chunks; ++chunk) {
        const auto given = root.team.load_span(bias, chunk * Team::lanes, root.num_actions(), 0.0f);
        const auto usable = given <= kLargest;
        const auto bad = usable ? root.no_action() : root.validity(0, chunk);
        if (root.team.ballot(bad) != 0) root.fail(Error::noise);
    }
}

XTRA_INLINE float reward(const NodeHeader& node, const NodeHeader& before) {
    return before.phase == 0 ? node.value_prefix : node.value_prefix - before.value_prefix;
}

// The last node of the released code's order below `slot`, or `slot` itself.
XTRA_INLINE int last_below(const Tree& tree, int slot) {
    while (tree.node(slot).num_children > 0) {
        const std::int16_t* child = tree.child(slot);
        int action = 0;
        while (child[action] == kNoNode) ++action;
        slot = child[action];
    }
    return slot;
}

// The released code takes an edge's reward by the prefix and reset flag of the node popped before it: preorder,
// highest action first. A new leaf enters that order in one place, so two rewards change.
template <class Team>
XTRA_INLINE void enter_depth_first_order(const Root<Team>& root, int slot) {
    const Tree& tree = root.tree;
    NodeHeader& node = tree.node(slot);
    int before = node.parent;
    const std::int16_t* siblings = tree.child(before);
    for (int action = node.action + 1; action < root.num_actions(); ++action) {
        if (siblings[action] == kNoNode) continue;
        before = last_below(tree, siblings[action]);
        break;
    }
    const int after = tree.node(before).next;
    tree.node(before).next = static_cast<std::int16_t>(slot);
    node.next = static_cast<std::int16_t>(after);
    node.span_reward = reward(node, tree.node(before));
    if (after == kNoNode) return;
    NodeHeader& follower = tree.node(after);
    follower.span_reward = reward(follower, node);
    const float future = root.rules().discount * (follower.value_sum / static_cast<float>(follower.visits));
    tree.span()[after - 1] = follower.span_reward + future;
}

// Makes the slot the selected edge's child.
template <class Team>
XTRA_INLINE void attach(const Root<Team>& root, int slot, float value_prefix) {
    const TreeHeader& header = root.tree.header();
    NodeHeader& parent = root.tree.node(header.leaf_parent);
    root.tree.child(header.leaf_parent)[header.leaf_action] = static_cast<std::int16_t>(slot);
    parent.num_children += 1;
    const int phase = parent.phase + 1;
    NodeHeader node{};
    node.value_prefix = value_prefix;
    node.parent = static_cast<std::int16_t>(header.leaf_parent);
    node.action = static_cast<std::int8_t>(header.leaf_action);
    node.depth = static_cast<std::int16_t>(parent.depth + 1);
    node.phase = static_cast<std::int16_t>(phase == root.rules().lstm_horizon ? 0 : phase);
    node.reward = node.span_reward = reward(node, parent);
    root.tree.node(slot) = node;
    if (root.rules().min_max == MinMax::released) enter_depth_first_order(root, slot);
}

// Adds a leaf's value to every node on the path to the root.
template <class Team>
XTRA_INLINE void back_up(const Root<Team>& root, int slot, float value) {
    float* span = root.tree.span();
    const float discount = root.rules().discount;
    float ret = value;
    for (NodeHeader* node = &root.tree.node(slot);;) {
        node->value_sum += ret;
        node->visits += 1;
        if (slot == 0) return;
        const float future = discount * (node->value_sum / static_cast<float>(node->visits));
        const int parent = node->parent;
        root.tree.q(parent)[node->action] = node->reward + future;
        root.tree.child_visits(parent)[node->action] += 1;
        span[slot - 1] = node->span_reward + future;
        ret = node->reward + discount * ret;
        slot = parent;
        node = &root.tree.node(slot);
    }
}

}  // namespace XTRA_ISA
}  // namespace xtra
