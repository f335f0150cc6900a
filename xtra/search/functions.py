"""A model given by functions on NumPy arrays: for tests and for other frameworks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.search.types import ModelOutput

Array = NDArray[Any]
Arrays = tuple[Array, Array, Array]


class FunctionModel:
    """Searches what three functions describe; arrays are shared with torch, not copied.

    represent(observations) -> latent `[B, ...]`.
    dynamics(latent, value_prefix_state, actions int64 `[B]`) -> latent, value_prefix_state, value_prefix float32 `[B]`.
    predict(latent) -> policy logits float32 `[B, A]`, value float32 `[B]`.
    """

    def __init__(
        self,
        represent: Callable[[Any], Array],
        dynamics: Callable[[Array, Array, Array], Arrays],
        predict: Callable[[Array], tuple[Array, Array]],
        state_size: int = 1,
    ) -> None:
        """state_size: floats of `value_prefix_state` per root; it starts, and is reset to, zero."""
        self._represent, self._dynamics, self._predict, self._state_size = represent, dynamics, predict, state_size

    def initial_inference(self, observations: Any, /) -> ModelOutput:
        """See `SearchModel`."""
        latent = self._represent(observations)
        state = np.zeros((len(latent), self._state_size), dtype=np.float32)
        return self._output(latent, state, np.zeros(len(latent), dtype=np.float32))

    def recurrent_inference(self, latent: Tensor, value_prefix_state: Tensor, actions: Tensor, /) -> ModelOutput:
        """See `SearchModel`."""
        return self._output(*self._dynamics(latent.numpy(), value_prefix_state.numpy(), actions.numpy()))

    def _output(self, latent: Array, state: Array, value_prefix: Array) -> ModelOutput:
        logits, value = self._predict(latent)
        tensors = (torch.from_numpy(np.asarray(array)) for array in (latent, state, value_prefix, value, logits))
        return ModelOutput(*tensors)
