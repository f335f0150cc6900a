"""Trees on the CPU, latents and states where the network is: for a GPU without the CUDA engine.

Per simulation, B rows of A + 2 floats come down and 3 integers a root go up; latents never move.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray

from xtra.search.config import SearchConfig
from xtra.search.engine import Roots, RootStatistics
from xtra.search.memory import Memory
from xtra.search.model import ModelOutput
from xtra.search.native import CpuTrees

CPU = torch.device("cpu")


class OffloadEngine:
    """See `xtra.search.engine.Engine`."""

    def __init__(self, config: SearchConfig, output: ModelOutput, seeded: bool, num_threads: int) -> None:
        batch = len(output.policy_logits)
        self._device = output.policy_logits.device
        self._memory = memory = Memory(config, output, seeded=seeded, device=CPU, pools=False)
        self._trees = CpuTrees(config, memory, num_threads, instruction_set="")
        slots = config.num_simulations + 1
        latent, state = output.latent, output.value_prefix_state
        self._latents = torch.empty(slots, *latent.shape, dtype=latent.dtype, device=self._device)
        self._states = torch.empty(slots, *state.shape, dtype=state.dtype, device=self._device)
        self._rows = torch.arange(batch, device=self._device)

    def begin(self, roots: Roots, output: ModelOutput) -> None:
        """See `Engine.begin`."""
        noise, bias, seeds = (None if tensor is None else tensor.cpu() for tensor in roots[1:])
        here = Roots(roots.valid.cpu(), noise, bias, seeds)
        self._trees.begin(here, output.policy_logits.cpu(), output.value.cpu())
        self._latents[0].copy_(output.latent)
        self._states[0].copy_(output.value_prefix_state)
        self._gather()

    def step(self, simulation: int, output: ModelOutput) -> None:
        """See `Engine.step`."""
        keep = self._memory.is_reset.to(self._device).logical_not()
        self._trees.step(simulation, output.policy_logits.cpu(), output.value.cpu(), output.value_prefix.cpu())
        state = output.value_prefix_state
        self._latents[simulation + 1].copy_(output.latent)
        self._states[simulation + 1].copy_(state.where(keep.view(-1, *[1] * (state.dim() - 1)), torch.zeros_like(state)))
        self._gather()

    def finish(self) -> RootStatistics:
        """See `Engine.finish`."""
        return RootStatistics(*(tensor.to(self._device) for tensor in self._memory.statistics()))

    def read_nodes(self) -> NDArray[Any]:
        """See `Engine.read_nodes`."""
        return self._memory.read_nodes()

    def _gather(self) -> None:
        parents = self._memory.parents.to(self._device)
        self.latent = self._latents[parents, self._rows]
        self.value_prefix_state = self._states[parents, self._rows]
        self.actions = self._memory.actions.to(self._device, copy=True)
