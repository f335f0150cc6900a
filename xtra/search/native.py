"""The C++ engine on the CPU: binds one block of memory to a search and passes addresses from then on."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.search import _native
from xtra.search.checks import require_same_layout
from xtra.search.config import SearchConfig
from xtra.search.engine import BadOutput
from xtra.search.tables import considered_visits_table, exploration_table
from xtra.search.tree import node_fields
from xtra.search.types import ModelOutput

ERROR_FIELDS = {1: "policy_logits", 2: "value", 3: "value_prefix"}
"""Fields of ModelOutput by the number that the engine reports (csrc/rules.hpp, Error)."""

_NODE_HEADER = {"value_sum": 0, "value_prefix": 4, "reward": 8, "visits": 16, "parent": 18, "action": 20, "depth": 22}


def rules(config: SearchConfig) -> _native.Rules:
    """The configuration as the engines read it."""
    return _native.Rules(
        discount=config.discount,
        value_delta_max=config.value_delta_max,
        gumbel_value_scale=config.gumbel_value_scale,
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
    """How a node lies in the engine's memory."""
    packed = np.dtype(node_fields(num_actions))
    names = packed.names or ()
    offsets = _NODE_HEADER | {name: getattr(layout, name) for name in ("prior", "q", "child_visits", "child")}
    return np.dtype(
        {
            "names": names,
            "formats": [packed[name] for name in names],
            "offsets": [offsets[name] for name in names],
            "itemsize": layout.node_bytes,
        }
    )


class Memory:
    """The tensors of one search on any device, and their addresses by the names of csrc/rules.hpp."""

    def __init__(self, config: SearchConfig, output: ModelOutput, seeded: bool) -> None:
        batch, num_actions = output.policy_logits.shape
        device = output.policy_logits.device
        slots = config.num_simulations + 1
        self.layout = _native.Layout(num_actions, slots)
        self.num_actions, self.slots = num_actions, slots
        self.latent = torch.empty_strided(output.latent.shape, output.latent.stride(), dtype=output.latent.dtype, device=device)
        state = output.value_prefix_state
        self.state = torch.empty_strided(state.shape, state.stride(), dtype=state.dtype, device=device)
        self.latent_bytes = self.latent.numel() // batch * self.latent.element_size()
        self.state_bytes = self.state.numel() // batch * self.state.element_size()
        self.actions = torch.zeros(batch, dtype=torch.int64, device=device)
        self.parents = torch.zeros(batch, dtype=torch.int64, device=device)
        self.is_reset = torch.zeros(batch, dtype=torch.int32, device=device)
        self.trees = torch.empty(batch, self.layout.tree_bytes, dtype=torch.uint8, device=device)
        self.latents = torch.empty(batch, slots, self.latent_bytes, dtype=torch.uint8, device=device)
        self.states = torch.empty(batch, slots, self.state_bytes, dtype=torch.uint8, device=device)
        self.exploration = torch.from_numpy(exploration_table(config)).to(device)
        self.considered = torch.from_numpy(considered_visits_table(config, num_actions).view(np.int16)).to(device)
        self.root_bias = torch.zeros(batch, num_actions, device=device) if config.policy == "gumbel" else None
        self.seeds = torch.zeros(batch, dtype=torch.int64, device=device) if seeded else None

    def addresses(self) -> dict[str, int]:
        """Where everything lies; 0 where there is nothing."""
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
        }
        found = {name: 0 if tensor is None else tensor.data_ptr() for name, tensor in tensors.items()}
        return found | {"latent_bytes": self.latent_bytes, "state_bytes": self.state_bytes}

    def read_nodes(self) -> NDArray[Any]:
        """A copy of all trees."""
        skip = _native.TREE_HEADER_BYTES
        raw = self.trees[:, skip : skip + self.slots * self.layout.node_bytes].cpu().contiguous().numpy()
        nodes = raw.view(node_dtype(self.num_actions, self.layout))
        return nodes.astype(np.dtype(node_fields(self.num_actions)))

    def root_rows(self) -> tuple[Tensor, Tensor, Tensor]:
        """See `Engine.root_rows`."""
        start, layout = _native.TREE_HEADER_BYTES, self.layout

        def row(offset: int, count: int, dtype: torch.dtype) -> Tensor:
            begin = start + offset
            return self.trees[:, begin : begin + count * dtype.itemsize].contiguous().view(dtype)

        visits = row(layout.child_visits, self.num_actions, torch.int16)
        q = row(layout.q, self.num_actions, torch.float32)
        value_sum = row(_NODE_HEADER["value_sum"], 1, torch.float32)
        root_visits = row(_NODE_HEADER["visits"], 1, torch.int16)
        return visits.int() & 0xFFFF, q, (value_sum / (root_visits.int() & 0xFFFF)).squeeze(1)


class NativeEngine:
    """See `xtra.search.engine.Engine`."""

    def __init__(
        self, config: SearchConfig, output: ModelOutput, seeded: bool, num_threads: int, instruction_set: str = ""
    ) -> None:
        batch, num_actions = output.policy_logits.shape
        self._memory = memory = Memory(config, output, seeded)
        self._engine = _native.CpuEngine(batch, num_actions, rules(config), memory.addresses(), num_threads, instruction_set)
        self.latent, self.value_prefix_state, self.actions = memory.latent, memory.state, memory.actions
        self._layouts = tuple((t.shape, t.dtype, t.stride(), t.device) for t in (memory.latent, memory.state))
        self.read_nodes, self.root_rows = memory.read_nodes, memory.root_rows

    def begin(self, priors: Tensor, output: ModelOutput, valid: Tensor, root_bias: Tensor | None, seeds: Tensor | None) -> None:
        if root_bias is not None and self._memory.root_bias is not None:
            self._memory.root_bias.copy_(root_bias)
        if seeds is not None and self._memory.seeds is not None:
            self._memory.seeds.copy_(seeds.view(torch.int64))
        self._check_layout(output)
        latent, state = output.latent.data_ptr(), output.value_prefix_state.data_ptr()
        self._raise(self._engine.begin(priors.data_ptr(), output.value.data_ptr(), latent, state, valid.data_ptr()))

    def step(self, simulation: int, priors: Tensor, output: ModelOutput) -> None:
        self._check_layout(output)
        latent, state, prefix, value, _ = (tensor.data_ptr() for tensor in output)
        self._raise(self._engine.step(simulation, priors.data_ptr(), value, prefix, latent, state))

    def _check_layout(self, output: ModelOutput) -> None:
        latent, state = output.latent, output.value_prefix_state
        require_same_layout("latent", latent, self.latent)
        require_same_layout("value_prefix_state", state, self.value_prefix_state)

    def _raise(self, found: tuple[int, int]) -> None:
        root, error = found
        if error:
            raise BadOutput(root, ERROR_FIELDS[error])
