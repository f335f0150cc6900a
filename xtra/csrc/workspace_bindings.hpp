// How Python's memory.py hands its tensors over, to the CPU's and the GPU's module alike.
#pragma once

#include <nanobind/nanobind.h>

#include "rules.hpp"

namespace xtra {

using Address = std::uintptr_t;

template <class T>
T* at(Address address) {
    return reinterpret_cast<T*>(address);
}

inline Workspace make_workspace(int num_roots, int num_actions, const Rules& rules, const nanobind::dict& memory) {
    const auto pointer = [&](const char* name) { return nanobind::cast<Address>(memory[name]); };
    Workspace work{};
    work.layout = make_layout(num_actions, rules.num_simulations + 1);
    work.rules = rules;
    work.num_roots = num_roots;
    work.latent_bytes = nanobind::cast<std::int64_t>(memory["latent_bytes"]);
    work.state_bytes = nanobind::cast<std::int64_t>(memory["state_bytes"]);
    work.trees = at<char>(pointer("trees"));
    work.exploration = at<float>(pointer("exploration"));
    work.considered = at<std::uint16_t>(pointer("considered"));
    work.root_bias = at<float>(pointer("root_bias"));
    work.seeds = at<std::uint64_t>(pointer("seeds"));
    work.latent_pool = at<char>(pointer("latent_pool"));
    work.state_pool = at<char>(pointer("state_pool"));
    work.leaf_latents = at<char>(pointer("leaf_latents"));
    work.leaf_states = at<char>(pointer("leaf_states"));
    work.leaf_actions = at<std::int64_t>(pointer("leaf_actions"));
    work.leaf_parents = at<std::int64_t>(pointer("leaf_parents"));
    work.leaf_is_reset = at<std::int32_t>(pointer("leaf_is_reset"));
    work.root_visits = at<std::int32_t>(pointer("root_visits"));
    work.root_q = at<float>(pointer("root_q"));
    work.root_values = at<float>(pointer("root_values"));
    return work;
}

}  // namespace xtra
