"""The C++ engine on the CPU: binds one block of memory to a search and passes addresses from then on.

Latents and recurrent states lie in that memory too; or, for a network on a GPU without the CUDA engine, where the network is:
then, per simulation, B rows of A + 2 floats come down and 3 integers a root go up, and latents never move.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.search import _native
from xtra.search.config import SearchConfig
from xtra.search.engine import BadOutput, Roots, RootStatistics
from xtra.search.memory import Memory, like, rules
from xtra.search.model import ModelOutput


class CpuTrees:
    """The C++ trees of a batch. All tensors are on the CPU."""

    def __init__(self, config: SearchConfig, memory: Memory, num_threads: int, instruction_set: str) -> None:
        """instruction_set: see `NativeEngine`."""
        batch, num_actions = memory.visits.shape
        self._memory = memory
        self._engine = _native.CpuEngine(batch, num_actions, rules(config), memory.addresses(), num_threads, instruction_set)
        self._weights = np.empty((batch, num_actions), dtype=np.float32)
        self._weights_address = self._weights.ctypes.data

    def begin(self, roots: Roots, logits: Tensor, value: Tensor, latents: int = 0, states: int = 0) -> None:
        """Sets the roots up, with logits `[B, A]` and values `[B]`, and selects the first leaves. latents, states: addresses, or
        0 if the caller keeps them."""
        self._memory.accept(roots)
        self._engine.reset(roots.valid.data_ptr(), self._weights_address)
        self._weigh(logits)
        noise = 0 if roots.noise is None else roots.noise.data_ptr()
        fault = self._engine.begin(noise, value.data_ptr(), latents, states)
        if fault is not None:
            raise BadOutput("initial_inference", *fault)

    def step(self, simulation: int, logits: Tensor, value: Tensor, prefix: Tensor, latents: int = 0, states: int = 0) -> None:
        """Expands the selected leaves, with logits `[B, A]`, values `[B]` and value prefixes `[B]`, and selects the next.
        latents, states: as in `begin`."""
        self._weigh(logits)
        fault = self._engine.step(simulation, value.data_ptr(), prefix.data_ptr(), latents, states)
        if fault is not None:
            raise BadOutput("recurrent_inference", *fault)

    def _weigh(self, logits: Tensor) -> None:
        """Computes the softmax except for its division. NumPy's exponential takes a fifth of the time of torch's softmax of
        narrow rows."""
        self._engine.shift(logits.data_ptr())
        np.exp(self._weights, self._weights)


class NativeEngine:
    """The engine for a network on the CPU: trees, latents and recurrent states lie in one block of memory."""

    def __init__(
        self, config: SearchConfig, output: ModelOutput, seeded: bool, num_threads: int, instruction_set: str = ""
    ) -> None:
        """instruction_set: `portable`, `avx2`, `avx512` or `emulated_warp`; empty: the best here. All give the same bits."""
        self._memory = memory = Memory(config, output, seeded=seeded, device=output.policy_logits.device)
        self._trees = CpuTrees(config, memory, num_threads, instruction_set)
        self.latent, self.value_prefix_state, self.actions = memory.latent, memory.state, memory.actions
        self.nbytes = memory.nbytes

    def begin(self, roots: Roots, output: ModelOutput) -> None:
        latent, state, _, value, logits = output
        self._trees.begin(roots, logits, value, latent.data_ptr(), state.data_ptr())

    def step(self, simulation: int, output: ModelOutput) -> None:
        latent, state, prefix, value, logits = output
        self._trees.step(simulation, logits, value, prefix, latent.data_ptr(), state.data_ptr())

    def finish(self) -> RootStatistics:
        return self._memory.statistics()

    def read_nodes(self) -> NDArray[Any]:
        return self._memory.read_nodes()


CPU = torch.device("cpu")


class OffloadEngine:
    """The engine for a network on a device without the CUDA engine: trees on the CPU; latents and recurrent states stay on the
    device."""

    @torch.inference_mode(False)  # as `Memory`
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
        self.latent, self.value_prefix_state = like(latent), like(state)
        self.nbytes = memory.nbytes + self._latents.nbytes + self._states.nbytes

    def begin(self, roots: Roots, output: ModelOutput) -> None:
        noise, bias, seeds = (None if tensor is None else tensor.cpu() for tensor in roots[1:])
        here = Roots(roots.valid.cpu(), noise, bias, seeds)
        self._trees.begin(here, output.policy_logits.cpu(), output.value.cpu())
        self._latents[0].copy_(output.latent)
        self._states[0].copy_(output.value_prefix_state)
        self._gather()

    def step(self, simulation: int, output: ModelOutput) -> None:
        keep = self._memory.is_reset.to(self._device).logical_not()
        self._trees.step(simulation, output.policy_logits.cpu(), output.value.cpu(), output.value_prefix.cpu())
        state = output.value_prefix_state
        self._latents[simulation + 1].copy_(output.latent)
        self._states[simulation + 1].copy_(state.where(keep.view(-1, *[1] * (state.dim() - 1)), torch.zeros_like(state)))
        self._gather()

    def finish(self) -> RootStatistics:
        return RootStatistics(*(tensor.to(self._device) for tensor in self._memory.statistics()))

    def read_nodes(self) -> NDArray[Any]:
        return self._memory.read_nodes()

    def _gather(self) -> None:
        parents = self._memory.parents.to(self._device)
        self.latent.copy_(self._latents[parents, self._rows])
        self.value_prefix_state.copy_(self._states[parents, self._rows])
        self.actions = self._memory.actions.to(self._device, copy=True)
