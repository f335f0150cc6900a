"""The memory of one search, on any device, laid out as csrc/tree.hpp and csrc/rules.hpp say."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.search import _native
from xtra.search.config import SearchConfig
from xtra.search.engine import Roots, RootStatistics
from xtra.search.exploration import considered_visits_table, exploration_table
from xtra.search.model import ModelOutput
from xtra.search.tree import node_fields

_NODE_HEADER = {"value_sum": 0, "value_prefix": 4, "reward": 8, "visits": 16, "parent": 18, "depth": 20, "action": 26}


def rules(config: SearchConfig) -> _native.Rules:
    """Returns the configuration in the form that the engines read."""
    return _native.Rules(
        discount=config.discount,
        value_delta_max=config.value_delta_max,
        root_exploration_fraction=config.root_exploration_fraction,
        gumbel_value_scale=config.gumbel_value_scale,
        gumbel_min_span=config.gumbel_min_span,
        gumbel_visit_offset=config.gumbel_visit_offset,
        num_simulations=config.num_simulations,
        lstm_horizon=config.lstm_horizon,
        max_considered_actions=config.max_considered_actions,
        min_max=("exact", "released", "per_node").index(config.min_max),
        policy=("puct", "gumbel").index(config.policy),
        node_visits=config.exploration_visits == "node",
        unvisited_min=config.unvisited_q == "min",
    )


def node_dtype(num_actions: int, layout: _native.Layout) -> np.dtype[Any]:
    """Returns the layout of a node in the engines' memory."""
    packed = np.dtype(node_fields(num_actions))
    names = packed.names or ()
    offsets = _NODE_HEADER | {name: getattr(layout, name) for name in ("prior", "q", "child_visits", "child")}
    return np.dtype(
        {
            "names": names,
            "formats": [np.dtype(np.int8) if name == "action" else packed[name] for name in names],
            "offsets": [offsets[name] for name in names],
            "itemsize": layout.node_bytes,
        }
    )


class Memory:
    """The tensors of one search. With `pools`, latents and states are kept by the engine, else by the caller."""

    @torch.inference_mode(False)  # or a search outside inference mode could not write to what one inside it left
    def __init__(
        self, config: SearchConfig, output: ModelOutput, *, seeded: bool, device: torch.device, pools: bool = True
    ) -> None:
        batch, num_actions = output.policy_logits.shape
        slots = config.num_simulations + 1
        self.layout = _native.Layout(num_actions, slots)
        self.num_actions, self.slots = num_actions, slots

        def empty(*shape: int, dtype: torch.dtype) -> Tensor:
            return torch.empty(shape, dtype=dtype, device=device)

        self.trees = empty(batch, self.layout.tree_bytes, dtype=torch.uint8)
        self.exploration = torch.from_numpy(exploration_table(config)).to(device)
        self.considered = torch.from_numpy(considered_visits_table(config, num_actions).view(np.int16)).to(device)
        self.root_bias = empty(batch, num_actions, dtype=torch.float32) if config.policy == "gumbel" else None
        self.seeds = empty(batch, dtype=torch.int64) if seeded else None
        self.actions = empty(batch, dtype=torch.int64)
        self.parents = empty(batch, dtype=torch.int64)
        self.is_reset = empty(batch, dtype=torch.int32)
        self.visits = empty(batch, num_actions, dtype=torch.int32)
        self.q = empty(batch, num_actions, dtype=torch.float32)
        self.values = empty(batch, dtype=torch.float32)

        self.latent, self.state = like(output.latent), like(output.value_prefix_state)
        self.latent_bytes = _row_bytes(self.latent) if pools else 0
        self.state_bytes = _row_bytes(self.state) if pools else 0
        self.latents = empty(batch, slots, self.latent_bytes, dtype=torch.uint8)
        self.states = empty(batch, slots, self.state_bytes, dtype=torch.uint8)

    @property
    def nbytes(self) -> int:
        """Bytes of all parts together."""
        return sum(part.nbytes for part in vars(self).values() if isinstance(part, Tensor))

    def addresses(self) -> dict[str, int]:
        """Returns the addresses of all parts, by the names of csrc/rules.hpp; 0 for a part that there is not."""
        tensors = {
            "trees": self.trees,
            "exploration": self.exploration,
            "considered": self.considered,
            "root_bias": self.root_bias,
            "seeds": self.seeds,
            "latent_pool": self.latents,
            "state_pool": self.states,
            "leaf_latents": self.latent,
            "leaf_states": self.state,
            "leaf_actions": self.actions,
            "leaf_parents": self.parents,
            "leaf_is_reset": self.is_reset,
            "root_visits": self.visits,
            "root_q": self.q,
            "root_values": self.values,
        }
        pointers = {name: 0 if tensor is None else tensor.data_ptr() for name, tensor in tensors.items()}
        return pointers | {"latent_bytes": self.latent_bytes, "state_bytes": self.state_bytes}

    def accept(self, roots: Roots) -> None:
        """Copies the inputs that a search reads at every simulation."""
        if self.root_bias is not None and roots.bias is not None:
            self.root_bias.copy_(roots.bias)
        if self.seeds is not None and roots.seeds is not None:
            self.seeds.copy_(roots.seeds.view(torch.int64))

    def errors(self) -> Tensor:
        """Returns the trees' error codes, int32 `[B]`: 0, or a key of `ERROR_FIELDS`."""
        offset = _native.TREE_ERROR_OFFSET
        return self.trees[:, offset : offset + 4].contiguous().view(torch.int32).squeeze(1)

    def statistics(self) -> RootStatistics:
        """Copies the statistics that the last step left."""
        return RootStatistics(self.visits.clone(), self.q.clone(), self.values.clone())

    def read_nodes(self) -> NDArray[Any]:
        """Copies all trees: `node_fields`, `[B, S + 1]`."""
        skip = _native.TREE_HEADER_BYTES
        raw = self.trees[:, skip : skip + self.slots * self.layout.node_bytes].cpu().contiguous().numpy()
        nodes = raw.view(node_dtype(self.num_actions, self.layout))
        return nodes.astype(np.dtype(node_fields(self.num_actions)))


@torch.inference_mode(False)
def like(tensor: Tensor) -> Tensor:
    """Returns an empty tensor of the same shape `[B, ...]`, type, device and order in memory."""
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=tensor.device)


def _row_bytes(tensor: Tensor) -> int:
    return tensor.numel() // tensor.shape[0] * tensor.element_size()
