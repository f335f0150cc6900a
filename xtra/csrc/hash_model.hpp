// A model that costs next to nothing, for measuring the tree alone: a latent is a 32-bit hash, its outputs a row of
// fixed tables.
#pragma once

#include <cstdint>
#include <cstring>

namespace xtra {

struct HashModel {
    std::int32_t num_roots;
    std::int32_t num_actions;
    std::uint32_t num_rows;  // a power of two
    const float* logits;     // [num_rows, A]
    const float* values;     // [num_rows]
    const float* rewards;    // [num_rows]
    std::uint32_t* latents_out;
    float* states_out;  // the value prefix so far, as an LSTM would hold it
    float* prefixes_out;
    float* values_out;
    float* logits_out;

    static std::uint32_t mix(std::uint32_t latent) { return (latent ^ (latent >> 15)) * 2654435761u; }

    void infer(const std::uint32_t* latents, const float* states, const std::int64_t* actions) const {
        for (int root = 0; root < num_roots; ++root) {
            const std::uint32_t latent = mix(mix(latents[root]) + static_cast<std::uint32_t>(actions[root]) + 1u);
            const std::uint32_t row = latent & (num_rows - 1);
            latents_out[root] = latent;
            states_out[root] = prefixes_out[root] = states[root] + rewards[row];
            values_out[root] = values[row];
            std::memcpy(logits_out + static_cast<std::int64_t>(root) * num_actions,
                        logits + static_cast<std::int64_t>(row) * num_actions,
                        sizeof(float) * static_cast<std::size_t>(num_actions));
        }
    }
};

}  // namespace xtra
