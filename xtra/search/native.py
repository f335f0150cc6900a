"""The C++ engine on the CPU: binds one block of memory to a search and passes addresses from then on."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from xtra.search import _native
from xtra.search.config import SearchConfig
from xtra.search.engine import BadOutput, Roots, RootStatistics
from xtra.search.memory import Memory, rules
from xtra.search.types import ModelOutput

INITIAL, RECURRENT = "initial_inference", "recurrent_inference"


class NativeEngine:
    """See `xtra.search.engine.Engine`."""

    def __init__(
        self, config: SearchConfig, output: ModelOutput, seeded: bool, num_threads: int, instruction_set: str = ""
    ) -> None:
        """instruction_set: `portable`, `avx2`, `avx512` or `emulated_warp`; empty: the best here. All give the same bits."""
        batch, num_actions = output.policy_logits.shape
        self._memory = memory = Memory(config, output, seeded=seeded, device=output.policy_logits.device)
        self._engine = _native.CpuEngine(batch, num_actions, rules(config), memory.addresses(), num_threads, instruction_set)
        self.latent, self.value_prefix_state, self.actions = memory.latent, memory.state, memory.actions

    def begin(self, roots: Roots, output: ModelOutput) -> None:
        """See `Engine.begin`."""
        self._memory.accept(roots)
        latent, state, _, value, _ = (tensor.data_ptr() for tensor in output)
        raise_if_bad(INITIAL, self._engine.begin(roots.priors.data_ptr(), value, latent, state, roots.valid.data_ptr()))

    def step(self, simulation: int, priors: Tensor, output: ModelOutput) -> None:
        """See `Engine.step`."""
        latent, state, prefix, value, _ = output
        found = self._engine.step(
            simulation, priors.data_ptr(), value.data_ptr(), prefix.data_ptr(), latent.data_ptr(), state.data_ptr()
        )
        raise_if_bad(RECURRENT, found)

    def finish(self) -> RootStatistics:
        """See `Engine.finish`."""
        return self._memory.statistics()

    def read_nodes(self) -> NDArray[Any]:
        """See `Engine.read_nodes`."""
        return self._memory.read_nodes()


def raise_if_bad(source: str, found: tuple[int, int] | None) -> None:
    """Turns the engines' (root, error) into `BadOutput`."""
    if found is not None:
        raise BadOutput(source, *found)
