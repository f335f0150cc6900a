"""Models that can be searched, and the results of a search."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from xtra.search.tree import Tree


class ModelOutput(NamedTuple):
    """One inference for a batch of B states with A actions. All tensors on one device, each batch row dense in memory."""

    latent: Tensor
    """`[B, ...]`, any dtype: what `recurrent_inference` needs of this state. Gathered, never looked into."""
    value_prefix_state: Tensor
    """`[B, ...]`, any dtype: the value prefix's recurrent state, e.g. an LSTM's h and c as `[B, 2, H]`. Zero is its reset."""
    value_prefix: Tensor
    """`[B]` float32: the undiscounted sum of rewards since the last reset of `value_prefix_state`, as a scalar: the reward of an
    edge is the difference of two. Not read at the root."""
    value: Tensor
    """`[B]` float32: the state's value, as a scalar."""
    policy_logits: Tensor
    """`[B, A]` float32; entries of actions that are not valid are not read."""


class SearchModel(Protocol):
    """A model that can be searched: two inferences, each for the whole batch of roots at once."""

    def initial_inference(self, observations: Any, /) -> ModelOutput:
        """Encodes B observations; its `value_prefix_state` is zero."""

    def recurrent_inference(self, latent: Tensor, value_prefix_state: Tensor, actions: Tensor, /) -> ModelOutput:
        """Imagines one action, int64 `[B]`, from each latent. The arguments are overwritten by the next simulation."""


class SearchResult(NamedTuple):
    """A finished search of B roots with A actions, on the device of the model's outputs unless it was fetched."""

    visit_counts: Tensor
    """`[B, A]` int32: visits of the root's children; they sum to `num_simulations`."""
    root_values: Tensor
    """`[B]` float32: mean of the root's own value and of all its simulations' returns, or as `SearchConfig.root_value` says."""
    action_weights: Tensor
    """`[B, A]` float32: the policy target; visit shares (pUCT), or the improved policy (Gumbel)."""
    actions: Tensor
    """`[B]` int64: the greedy choice; most visits (pUCT) or sequential halving's winner (Gumbel), ties to the lowest index."""
    root_output: ModelOutput
    """The model's output for the roots."""
    tree: Tree
    """The whole tree, open to inspection."""


Array = NDArray[Any]
Arrays = tuple[Array, Array, Array]


class FunctionModel:
    """A model made of three functions. Arrays are shared with torch, not copied.

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
        """state_size: floats of `value_prefix_state` per root; it starts at zero and is reset to zero."""
        self._represent, self._dynamics, self._predict, self._state_size = represent, dynamics, predict, state_size

    def initial_inference(self, observations: Any, /) -> ModelOutput:
        latent = self._represent(observations)
        state = np.zeros((len(latent), self._state_size), dtype=np.float32)
        return self._output(latent, state, np.zeros(len(latent), dtype=np.float32))

    def recurrent_inference(self, latent: Tensor, value_prefix_state: Tensor, actions: Tensor, /) -> ModelOutput:
        return self._output(*self._dynamics(latent.numpy(), value_prefix_state.numpy(), actions.numpy()))

    def _output(self, latent: Array, state: Array, value_prefix: Array) -> ModelOutput:
        logits, value = self._predict(latent)
        tensors = (torch.from_numpy(np.asarray(array)) for array in (latent, state, value_prefix, value, logits))
        return ModelOutput(*tensors)
