// What is searched and by which rules: everything that stays the same during one search.
#pragma once

#include <cstdint>

#include "tree.hpp"

namespace xtra {

enum class MinMax : std::int32_t { exact, released, per_node };
enum class RootPolicy : std::int32_t { puct, gumbel };
enum class Error : std::int32_t { none, policy_logits, value, value_prefix, valid_actions, noise };

struct Rules {
    float discount;
    float value_delta_max;
    float root_exploration_fraction;
    float gumbel_value_scale;
    float gumbel_min_span;
    float gumbel_visit_offset;
    std::int32_t num_simulations;
    std::int32_t lstm_horizon;
    std::int32_t max_considered_actions;
    MinMax min_max;
    RootPolicy policy;
    bool node_visits;    // pUCT counts the node's own visit too
    bool unvisited_min;  // an unvisited child has the least Q, not the mean
};

// Bound once per search. Rows that belong to roots are `[B, ...]`, contiguous.
struct Workspace {
    Layout layout;
    Rules rules;
    std::int32_t num_roots;
    std::int64_t latent_bytes;  // of one root's latent; 0 if the caller moves latents itself
    std::int64_t state_bytes;

    char* trees;               // [B, tree_bytes]
    const float* exploration;  // [S + 2] pUCT's factor by visits
    const std::uint16_t*
        considered;          // [A + 1, S] sequential halving: visits of the actions considered, by how many there are
    const float* root_bias;  // [B, A] Gumbel + logits; null under pUCT
    const std::uint64_t* seeds;  // [B], or null: ties go to the lowest index

    char* latent_pool;  // [B, S + 1, latent_bytes]
    char* state_pool;
    char* leaf_latents;  // [B, latent_bytes] what the next inference reads
    char* leaf_states;
    std::int64_t* leaf_actions;   // [B]
    std::int64_t* leaf_parents;   // [B] slots, for a caller that moves latents itself
    std::int32_t* leaf_is_reset;  // [B] the leaf's state is to be stored as zero

    std::int32_t* root_visits;  // [B, A] of the root's children; these three are written by the last step
    float* root_q;              // [B, A] of the root's visited children, else 0
    float* root_values;         // [B]
};

// One inference's outputs, `[B, ...]`.
struct Outputs {
    const float*
        weights;  // exp(logit - largest logit) or any multiple; those of actions that are not valid are not read
    const float* values;
    const float* value_prefixes;
    const char* latents;
    const char* states;
};

}  // namespace xtra
