// Select, expand and back up in ONE tree, for every team (pack.hpp, warp.cuh, the tests' emulated warp). Equal,
// operation by operation, to xtra/search/reference.py, which says where each rule comes from; compile without
// contraction of a*b+c.
#pragma once

#include "rules.hpp"

namespace xtra {
inline namespace XTRA_ISA {

constexpr float kTieTolerance = 1e-6f;
constexpr float kLargest = 3.402823466e38f;

struct Span {
    float low, scale;
};

// What to subtract from Q and to multiply by; nothing is normalised while all values are equal.
XTRA_INLINE Span make_span(float low, float high, float value_delta_max) {
    const float width = high - low;
    if (!(width > 0.0f)) return {0.0f, 1.0f};
    return {low, 1.0f / (width > value_delta_max ? width : value_delta_max)};
}

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

// One root's search as one team runs it.
template <class Team>
class Search {
    using Float = typename Team::Float;
    using Int = typename Team::Int;
    using Key = typename Team::Key;
    static constexpr int kChunks = Team::chunks;

    Team team_;
    const Workspace& work_;
    const Rules& rules_;
    const int root_;
    const int num_actions_;
    const Tree tree_;

  public:
    XTRA_INLINE Search(Team team, const Workspace& work, int root)
        : team_(team),
          work_(work),
          rules_(work.rules),
          root_(root),
          num_actions_(work.layout.num_actions),
          tree_{work.trees + root * work.layout.tree_bytes, &work.layout} {}

    // Plants the root and selects the first leaf. `valid`: [B, A].
    XTRA_INLINE void begin(const Outputs& outputs, const bool* valid) {
        plant(outputs.values[root_], valid + root_ * num_actions_);
        fill_edges(0, outputs.priors,
                   [&](int chunk) { return team_.load_flags(valid + root_ * num_actions_, chunk, num_actions_); });
        store_recurrent(outputs, 0, false);
        team_.sync();
        select(0);
        load_recurrent();
    }

    // Expands the leaf that simulation `simulation` selected, backs its value up, and selects the next leaf if there is
    // one.
    XTRA_INLINE void step(const Outputs& outputs, int simulation) {
        const int slot = simulation + 1;
        fill_edges(slot, outputs.priors, [&](int chunk) { return validity(0, chunk); });
        if (team_.leader()) {
            attach(slot, checked(outputs.value_prefixes[root_], Error::value_prefix));
            back_up(slot, checked(outputs.values[root_], Error::value));
        }
        team_.sync();
        if (slot == rules_.num_simulations) return report();
        measure_span(slot);
        store_recurrent(outputs, slot, is_reset(slot));
        team_.sync();
        select(slot);
        load_recurrent();
    }

  private:
    // Expansion

    XTRA_INLINE void plant(float value, const bool* valid) {
        if (!team_.leader()) return;
        TreeHeader& header = tree_.header();
        header = {};
        header.seed = work_.seeds ? work_.seeds[root_] : 0;
        header.scale = 1.0f;
        for (int action = 0; action < num_actions_; ++action) header.num_valid += valid[action];
        header.root_value = checked(value, Error::value);
        if (header.num_valid == 0) fail(Error::valid_actions);
        NodeHeader& node = tree_.node(0);
        node = {};
        node.value_sum = header.root_value;
        node.visits = 1;
        node.parent = node.action = node.next = kNoNode;
    }

    // `validity_of(chunk)`: the mask of valid actions.
    template <class ValidityOf>
    XTRA_INLINE void fill_edges(int slot, const float* priors, ValidityOf validity_of) {
        const float* from = priors + static_cast<std::int64_t>(root_) * num_actions_;
        Int bad = no_action();
        for (int chunk = 0; chunk < kChunks; ++chunk) {
            const Int valid = validity_of(chunk);
            const Float given = team_.load_span(from, chunk * Team::lanes, num_actions_, 0.0f);
            const Int usable = (given >= 0.0f) & (given <= kLargest);
            bad = bad | (usable ? no_action() : valid);
            const Float prior = usable ? given : team_.all(0.0f);
            team_.store(tree_.prior(slot), chunk, valid ? prior : team_.all(kInvalidPrior));
        }
        for (int chunk = 0; chunk < kChunks; ++chunk) team_.store(tree_.q(slot), chunk, team_.all(0.0f));
        for (int chunk = 0; chunk < kChunks; ++chunk) team_.store(tree_.child_visits(slot), chunk, 0);
        for (int chunk = 0; chunk < kChunks; ++chunk) team_.store(tree_.child(slot), chunk, kNoNode);
        if (team_.ballot(bad) != 0 && team_.leader()) fail(Error::prior);
    }
    XTRA_INLINE Int no_action() const { return team_.actions(0) & 0; }

    XTRA_INLINE void attach(int slot, float value_prefix) {
        const TreeHeader& header = tree_.header();
        NodeHeader& parent = tree_.node(header.leaf_parent);
        tree_.child(header.leaf_parent)[header.leaf_action] = static_cast<std::int16_t>(slot);
        parent.num_children += 1;
        NodeHeader& node = tree_.node(slot);
        node.value_sum = 0.0f;
        node.value_prefix = value_prefix;
        node.visits = 0;
        node.parent = static_cast<std::int16_t>(header.leaf_parent);
        node.action = static_cast<std::int16_t>(header.leaf_action);
        node.depth = static_cast<std::int16_t>(parent.depth + 1);
        node.num_children = 0;
        node.reward = reward(slot, header.leaf_parent);
        node.span_reward = node.reward;
        if (rules_.min_max == MinMax::released) enter_depth_first_order(slot);
    }

    // The first failure is kept; the search goes on with 0 in its place, and the caller raises when it has ended.
    XTRA_INLINE float checked(float value, Error error) {
        if (value >= -kLargest && value <= kLargest) return value;
        fail(error);
        return 0.0f;
    }
    XTRA_INLINE void fail(Error error) {
        std::int32_t& first = tree_.header().error;
        if (first == 0) first = static_cast<std::int32_t>(error);
    }

    XTRA_INLINE bool is_reset(int slot) const { return slot != 0 && tree_.node(slot).depth % rules_.lstm_horizon == 0; }

    XTRA_INLINE float reward(int slot, int before) const {
        const float prefix = tree_.node(slot).value_prefix;
        return is_reset(before) ? prefix : prefix - tree_.node(before).value_prefix;
    }

    // Backup

    XTRA_INLINE void back_up(int slot, float value) {
        float* span = tree_.span();
        float ret = value;
        for (NodeHeader* node = &tree_.node(slot);;) {
            node->value_sum += ret;
            node->visits += 1;
            if (slot == 0) return;
            const float future = rules_.discount * (node->value_sum / static_cast<float>(node->visits));
            const int parent = node->parent;
            tree_.q(parent)[node->action] = node->reward + future;
            tree_.child_visits(parent)[node->action] += 1;
            span[slot - 1] = node->span_reward + future;
            ret = node->reward + rules_.discount * ret;
            slot = parent;
            node = &tree_.node(slot);
        }
    }

    XTRA_INLINE void measure_span(int size) {
        const float* span = tree_.span();
        Float low = team_.load_span(span, 0, size, kLargest);
        Float high = team_.load_span(span, 0, size, -kLargest);
        for (int begin = Team::lanes; begin < size; begin += Team::lanes) {
            const Float low_here = team_.load_span(span, begin, size, kLargest);
            const Float high_here = team_.load_span(span, begin, size, -kLargest);
            low = low_here < low ? low_here : low;
            high = high_here > high ? high_here : high;
        }
        const Span measured = make_span(team_.min(low), team_.max(high), rules_.value_delta_max);
        if (!team_.leader()) return;
        tree_.header().low = measured.low;
        tree_.header().scale = measured.scale;
    }

    // The released code takes an edge's reward by the prefix and reset flag of the node popped before it: preorder,
    // highest action first. A new leaf enters that order in one place, so two rewards change.
    XTRA_INLINE void enter_depth_first_order(int slot) {
        NodeHeader& node = tree_.node(slot);
        int before = node.parent;
        const std::int16_t* siblings = tree_.child(before);
        for (int action = node.action + 1; action < num_actions_; ++action) {
            if (siblings[action] == kNoNode) continue;
            before = last_below(siblings[action]);
            break;
        }
        const int after = tree_.node(before).next;
        tree_.node(before).next = static_cast<std::int16_t>(slot);
        node.next = static_cast<std::int16_t>(after);
        node.span_reward = reward(slot, before);
        if (after == kNoNode) return;
        NodeHeader& follower = tree_.node(after);
        follower.span_reward = reward(after, slot);
        const float future = rules_.discount * (follower.value_sum / static_cast<float>(follower.visits));
        tree_.span()[after - 1] = follower.span_reward + future;
    }

    XTRA_INLINE int last_below(int slot) const {
        while (tree_.node(slot).num_children > 0) {
            const std::int16_t* child = tree_.child(slot);
            int action = 0;
            while (child[action] == kNoNode) ++action;
            slot = child[action];
        }
        return slot;
    }

    // Selection

    XTRA_INLINE void select(int simulation) {
        int slot = 0;
        float mean_q = 0.0f;
        for (int depth = 0;; ++depth) {
            Float score[kChunks];
            Int valid[kChunks];
            mean_q = updated_mean_q(slot, mean_q);
            if (slot == 0 && rules_.policy == RootPolicy::gumbel) {
                score_gumbel(simulation, score, valid);
            } else {
                score_puct(slot, mean_q, score, valid);
            }
            const int action = pick(score, valid, simulation, depth);
            const int child = tree_.child(slot)[action];
            if (child == kNoNode) {
                choose_leaf(slot, action, depth + 1);
                return;
            }
            slot = child;
        }
    }

    // Lanes past the row's end have read what lies behind it, and are not valid either.
    XTRA_INLINE Int validity(int slot, int chunk) const {
        return (team_.load(tree_.prior(slot), chunk) >= 0.0f) & (team_.actions(chunk) < num_actions_);
    }

    XTRA_INLINE void choose_leaf(int parent, int action, int depth) {
        if (!team_.leader()) return;
        tree_.header().leaf_parent = parent;
        tree_.header().leaf_action = action;
        work_.leaf_actions[root_] = action;
        work_.leaf_parents[root_] = parent;
        work_.leaf_is_reset[root_] = depth % rules_.lstm_horizon == 0;
    }

    XTRA_INLINE void score_puct(int slot, float mean_q, Float* score, Int* valid) const {
        const NodeHeader& node = tree_.node(slot);
        Float q[kChunks];
        for (int chunk = 0; chunk < kChunks; ++chunk) {
            valid[chunk] = validity(slot, chunk);
            q[chunk] = team_.load(tree_.q(slot), chunk);
        }
        Span span{tree_.header().low, tree_.header().scale};
        if (rules_.min_max == MinMax::per_node) span = span_of_node(slot, q, valid);
        const Float unvisited = team_.all(rules_.unvisited_min ? span.low : mean_q);
        const Float factor = team_.all(work_.exploration[node.visits - (rules_.node_visits ? 0 : 1)]);
        for (int chunk = 0; chunk < kChunks; ++chunk) {
            const Int visits = team_.load(tree_.child_visits(slot), chunk);
            const Float raw = visits > 0 ? q[chunk] : unvisited;
            Float value = (raw - span.low) * span.scale;
            value = value < 0.0f ? team_.all(0.0f) : value;
            value = value > 1.0f ? team_.all(1.0f) : value;
            const Float prior = team_.load(tree_.prior(slot), chunk);
            score[chunk] = factor * prior / (team_.to_float(visits) + 1.0f) + value;
        }
    }

    // EfficientZero's running mean: of the visited children, and below the root of the parent's mean too.
    XTRA_INLINE float updated_mean_q(int slot, float parent_mean_q) const {
        Float counted[kChunks];
        for (int chunk = 0; chunk < kChunks; ++chunk) {
            counted[chunk] = validity(slot, chunk) ? team_.load(tree_.q(slot), chunk) : team_.all(0.0f);
        }
        const float total = team_.sum(counted);
        const int visited = tree_.node(slot).num_children;
        if (slot != 0) return (parent_mean_q + total) / (static_cast<float>(visited) + 1.0f);
        return visited > 0 ? total / static_cast<float>(visited) : 0.0f;
    }

    XTRA_INLINE Span span_of_node(int slot, const Float* q, const Int* valid) const {
        const NodeHeader& node = tree_.node(slot);
        const float own = node.value_sum / static_cast<float>(node.visits);
        Float low = team_.all(own);
        Float high = team_.all(own);
        for (int chunk = 0; chunk < kChunks; ++chunk) {
            const Int seen = valid[chunk] & (team_.load(tree_.child_visits(slot), chunk) > 0);
            const Float low_here = seen ? q[chunk] : low;
            const Float high_here = seen ? q[chunk] : high;
            low = low_here < low ? low_here : low;
            high = high_here > high ? high_here : high;
        }
        return make_span(team_.min(low), team_.max(high), rules_.value_delta_max);
    }

    // Sequential halving: among the actions with as many visits as the plan considers now, by g + logits +
    // sigma(completed Q).
    XTRA_INLINE void score_gumbel(int simulation, Float* score, Int* valid) const {
        const TreeHeader& header = tree_.header();
        Float prior[kChunks], q[kChunks], seen_prior[kChunks], seen_q[kChunks];
        Int visits[kChunks];
        Int most = no_action();
        for (int chunk = 0; chunk < kChunks; ++chunk) {
            prior[chunk] = team_.load(tree_.prior(0), chunk);
            q[chunk] = team_.load(tree_.q(0), chunk);
            valid[chunk] = validity(0, chunk);
            visits[chunk] = valid[chunk] ? team_.load(tree_.child_visits(0), chunk) : no_action();
            most = visits[chunk] > most ? visits[chunk] : most;
            seen_prior[chunk] = visits[chunk] > 0 ? prior[chunk] : team_.all(0.0f);
            seen_q[chunk] = visits[chunk] > 0 ? prior[chunk] * q[chunk] : team_.all(0.0f);
        }
        const float total_prior = team_.sum(seen_prior);
        const float weighted_q = team_.sum(seen_q) / (total_prior > 1e-30f ? total_prior : 1e-30f);
        const float num_visits = static_cast<float>(tree_.node(0).visits - 1);
        const float mixed = (header.root_value + num_visits * weighted_q) / (num_visits + 1.0f);
        Float low = team_.all(kLargest);
        Float high = team_.all(-kLargest);
        for (int chunk = 0; chunk < kChunks; ++chunk) {
            q[chunk] = visits[chunk] > 0 ? q[chunk] : team_.all(mixed);
            low = (valid[chunk] & (q[chunk] < low)) ? q[chunk] : low;
            high = (valid[chunk] & (q[chunk] > high)) ? q[chunk] : high;
        }
        const float least = team_.min(low);
        const float width = team_.max(high) - least;
        const float most_visits = static_cast<float>(team_.max(most));
        const float scale = rules_.gumbel_value_scale * (rules_.gumbel_visit_offset + most_visits);
        const int considered =
            header.num_valid < rules_.max_considered_actions ? header.num_valid : rules_.max_considered_actions;
        const int planned = work_.considered[considered * rules_.num_simulations + simulation];
        const float* bias = work_.root_bias + static_cast<std::int64_t>(root_) * num_actions_;
        for (int chunk = 0; chunk < kChunks; ++chunk) {
            const Float rescaled = (q[chunk] - least) / (width > 1e-8f ? width : 1e-8f);
            const Float penalty = visits[chunk] == planned ? team_.all(0.0f) : team_.all(-1e30f);
            score[chunk] =
                (team_.load_span(bias, chunk * Team::lanes, num_actions_, 0.0f) + scale * rescaled) + penalty;
        }
    }

    // The valid action of the best score; among ties the greatest key, whose last 7 bits put the lowest index first, or
    // the lowest index. With no valid action at all, which is an error by now, action 0.
    XTRA_INLINE int pick(const Float* score, const Int* valid, int simulation, int depth) const {
        Float best = team_.all(-__builtin_inff());
        for (int chunk = 0; chunk < kChunks; ++chunk) {
            const Float here = valid[chunk] ? score[chunk] : best;
            best = here > best ? here : best;
        }
        const float threshold = team_.max(best) - kTieTolerance;
        Int tied[kChunks];
        int num_tied = 0, lowest = 0;
        for (int chunk = kChunks - 1; chunk >= 0; --chunk) {
            tied[chunk] = score[chunk] < threshold ? no_action() : valid[chunk];
            const std::uint32_t bits = team_.ballot(tied[chunk]);
            num_tied += count_bits(bits);
            if (bits != 0) lowest = chunk * Team::lanes + lowest_bit(bits);
        }
        return num_tied > 1 && work_.seeds ? break_tie(tied, simulation, depth) : lowest;
    }

    XTRA_INLINE int break_tie(const Int* tied, int simulation, int depth) const {
        const std::uint64_t state = mix(tree_.header().seed, simulation, depth);
        Key greatest = team_.to_key(team_.actions(0)) & 0u;
        for (int chunk = 0; chunk < kChunks; ++chunk) {
            const Key action = team_.to_key(team_.actions(chunk));
            Key key = (tie_key(state, action) & ~127u) | (127u - action);
            key = tied[chunk] ? key : greatest;
            greatest = key > greatest ? key : greatest;
        }
        return 127 - static_cast<int>(team_.max(greatest) & 127u);
    }

    XTRA_INLINE void report() {
        const std::int64_t row = static_cast<std::int64_t>(root_) * num_actions_;
        const float* q = tree_.q(0);
        const std::uint16_t* child_visits = tree_.child_visits(0);
        team_.for_actions(num_actions_, [&](int action) {
            work_.root_visits[row + action] = child_visits[action];
            work_.root_q[row + action] = q[action];
        });
        const NodeHeader& root = tree_.node(0);
        if (team_.leader()) work_.root_values[root_] = root.value_sum / static_cast<float>(root.visits);
    }

    // Latents and recurrent states

    XTRA_INLINE char* pooled(char* pool, int slot, std::int64_t bytes) const {
        return pool + (static_cast<std::int64_t>(root_) * work_.layout.num_slots + slot) * bytes;
    }
    XTRA_INLINE void store_recurrent(const Outputs& outputs, int slot, bool reset) {
        if (work_.latent_bytes == 0) return;
        team_.copy(pooled(work_.latent_pool, slot, work_.latent_bytes), outputs.latents + root_ * work_.latent_bytes,
                   work_.latent_bytes);
        char* state = pooled(work_.state_pool, slot, work_.state_bytes);
        if (reset) {
            team_.clear(state, work_.state_bytes);
        } else {
            team_.copy(state, outputs.states + root_ * work_.state_bytes, work_.state_bytes);
        }
    }
    XTRA_INLINE void load_recurrent() {
        team_.sync();
        if (work_.latent_bytes == 0) return;
        const int slot = tree_.header().leaf_parent;
        team_.copy(work_.leaf_latents + root_ * work_.latent_bytes, pooled(work_.latent_pool, slot, work_.latent_bytes),
                   work_.latent_bytes);
        team_.copy(work_.leaf_states + root_ * work_.state_bytes, pooled(work_.state_pool, slot, work_.state_bytes),
                   work_.state_bytes);
    }
};

}  // namespace XTRA_ISA
}  // namespace xtra
