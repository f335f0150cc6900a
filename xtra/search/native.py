"""The C++ engine on the CPU: binds one block of memory to a search and passes addresses from then on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from xtra.search import _native
from xtra.search.config import SearchConfig
from xtra.search.engine import BadOutput, Roots, RootStatistics
from xtra.search.memory import Memory, rules
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
        """See `Engine.begin`.  latents, states: addresses, or 0 if the caller keeps them."""
        self._memory.accept(roots)
        self._engine.reset(roots.valid.data_ptr(), self._weights_address)
        self._weigh(logits)
        noise = 0 if roots.noise is None else roots.noise.data_ptr()
        found = self._engine.begin(noise, value.data_ptr(), latents, states)
        if found is not None:
            raise BadOutput("initial_inference", *found)

    def step(self, simulation: int, logits: Tensor, value: Tensor, prefix: Tensor, latents: int = 0, states: int = 0) -> None:
        """See `Engine.step`."""
        self._weigh(logits)
        found = self._engine.step(simulation, value.data_ptr(), prefix.data_ptr(), latents, states)
        if found is not None:
            raise BadOutput("recurrent_inference", *found)

    def _weigh(self, logits: Tensor) -> None:
        """The softmax but for its division. NumPy's exponential takes a fifth of the time of torch's softmax of narrow rows."""
        self._engine.shift(logits.data_ptr())
        np.exp(self._weights, self._weights)


class NativeEngine:
    """See `xtra.search.engine.Engine`."""

    def __init__(
        self, config: SearchConfig, output: ModelOutput, seeded: bool, num_threads: int, instruction_set: str = ""
    ) -> None:
        """instruction_set: `portable`, `avx2`, `avx512` or `emulated_warp`; empty: the best here. All give the same bits."""
        self._memory = memory = Memory(config, output, seeded=seeded, device=output.policy_logits.device)
        self._trees = CpuTrees(config, memory, num_threads, instruction_set)
        self.latent, self.value_prefix_state, self.actions = memory.latent, memory.state, memory.actions

    def begin(self, roots: Roots, output: ModelOutput) -> None:
        """See `Engine.begin`."""
        latent, state, _, value, logits = output
        self._trees.begin(roots, logits, value, latent.data_ptr(), state.data_ptr())

    def step(self, simulation: int, output: ModelOutput) -> None:
        """See `Engine.step`."""
        latent, state, prefix, value, logits = output
        self._trees.step(simulation, logits, value, prefix, latent.data_ptr(), state.data_ptr())

    def finish(self) -> RootStatistics:
        """See `Engine.finish`."""
        return self._memory.statistics()

    def read_nodes(self) -> NDArray[Any]:
        """See `Engine.read_nodes`."""
        return self._memory.read_nodes()
