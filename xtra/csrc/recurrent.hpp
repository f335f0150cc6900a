// Latents and value prefix states: kept by slot, gathered for the next inference.
#pragma once

#include "root.hpp"

namespace xtra {
inline namespace XTRA_ISA {

template <class Team>
XTRA_INLINE char* pooled(const Root<Team>& root, char* pool, int slot, std::int64_t bytes) {
    return pool + (static_cast<std::int64_t>(root.index) * root.work.layout.num_slots + slot) * bytes;
}

// Where the value prefix starts anew the state is stored as zero.
template <class Team>
XTRA_INLINE void store_recurrent(const Root<Team>& root, const Outputs& outputs, int slot) {
    const Workspace& work = root.work;
    if (work.latent_bytes + work.state_bytes == 0) return;  // the caller keeps them
    root.team.copy(pooled(root, work.latent_pool, slot, work.latent_bytes),
                   outputs.latents + root.index * work.latent_bytes, work.latent_bytes);
    char* state = pooled(root, work.state_pool, slot, work.state_bytes);
    if (slot != 0 && root.tree.node(slot).phase == 0) {
        root.team.clear(state, work.state_bytes);
    } else {
        root.team.copy(state, outputs.states + root.index * work.state_bytes, work.state_bytes);
    }
}

template <class Team>
XTRA_INLINE void load_recurrent(const Root<Team>& root) {
    const Workspace& work = root.work;
    if (work.latent_bytes + work.state_bytes == 0) return;  // the caller keeps them
    const int slot = root.tree.header().leaf_parent;
    root.team.copy(work.leaf_latents + root.index * work.latent_bytes,
                   pooled(root, work.latent_pool, slot, work.latent_bytes), work.latent_bytes);
    root.team.copy(work.leaf_states + root.index * work.state_bytes,
                   pooled(root, work.state_pool, slot, work.state_bytes), work.state_bytes);
}

}  // namespace XTRA_ISA
}  // namespace xtra
