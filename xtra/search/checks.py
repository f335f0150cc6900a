"""Checks of a search's arguments and of the model's outputs. Errors name the argument, what was given and what is expected;
nothing is converted or copied to make it fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from xtra.search.model import ModelOutput

MAX_ACTIONS = 128


def require(name: str, tensor: object, shape: Sequence[int], dtypes: tuple[torch.dtype, ...], device: torch.device) -> None:
    """Raises ValueError unless `tensor` is a contiguous tensor of that shape, dtype and device."""
    if not isinstance(tensor, Tensor):
        came = f"is {type(tensor).__name__}"
    elif tuple(tensor.shape) != tuple(shape):
        came = f"has shape {list(tensor.shape)}"
    elif tensor.dtype not in dtypes:
        came = f"is {_name(tensor.dtype)}"
    elif tensor.device != device:
        came = f"is on {tensor.device}"
    elif not tensor.is_contiguous():
        came = f"has strides {list(tensor.stride())}"
    else:
        return
    kinds = " or ".join(map(_name, dtypes))
    raise ValueError(f"{name} {came}; expected a contiguous {kinds} tensor of shape {list(shape)} on {device}")


def check_arguments(output: ModelOutput, valid: Tensor, seeds: Tensor | None, noise: Tensor | None, num_threads: int) -> None:
    """Checks the arguments of `search` against the roots' inference: valid, noise: `[B, A]`; seeds: `[B]`. Raises ValueError."""
    batch, num_actions = _batch_and_actions(output)
    device = output.policy_logits.device
    _require_scalars("initial_inference", output, batch, num_actions, device)
    _require_dense_rows("initial_inference: latent", output.latent, batch, device)
    _require_dense_rows("initial_inference: value_prefix_state", output.value_prefix_state, batch, device)
    require("valid_actions", valid, (batch, num_actions), (torch.bool,), device)
    if seeds is not None:
        require("seeds", seeds, (batch,), (torch.int64, torch.uint64), device)
    if noise is not None:
        require("noise", noise, (batch, num_actions), (torch.float32,), device)
    if num_threads < 1:
        raise ValueError(f"num_threads is {num_threads}; expected at least 1")


class OutputGuard:
    """Holds every `recurrent_inference` to the layout of the roots' output; when they agree that costs a tuple comparison."""

    def __init__(self, root: ModelOutput) -> None:
        self._root = self._last = root
        self._expected = _layouts(root)

    def check(self, output: ModelOutput) -> None:
        """Raises ValueError that names the first field that differs. An output object that was checked last time is not checked
        again."""
        if output is self._last:
            return
        self._last = output
        if not isinstance(output, ModelOutput):
            raise ValueError(f"recurrent_inference returned {type(output).__name__}; expected a ModelOutput")
        try:
            if _layouts(output) == self._expected:
                return
        except AttributeError:
            pass  # not tensors: named below
        batch, num_actions = self._root.policy_logits.shape
        _require_scalars("recurrent_inference", output, batch, num_actions, self._root.policy_logits.device)
        _require_same_layout("recurrent_inference: latent", output.latent, self._root.latent)
        _require_same_layout("recurrent_inference: value_prefix_state", output.value_prefix_state, self._root.value_prefix_state)


def _layouts(output: ModelOutput) -> list[tuple[Any, ...]]:
    return [(tensor.dtype, tensor.shape, tensor.stride(), tensor.device) for tensor in output]


def _batch_and_actions(output: ModelOutput) -> tuple[int, int]:
    if not isinstance(output, ModelOutput):
        raise ValueError(f"initial_inference returned {type(output).__name__}; expected a ModelOutput")
    if not isinstance(output.policy_logits, Tensor):
        raise ValueError(f"initial_inference: policy_logits is {type(output.policy_logits).__name__}; expected a tensor [B, A]")
    shape = output.policy_logits.shape
    if len(shape) != 2 or not 1 <= shape[1] <= MAX_ACTIONS or shape[0] < 1:
        expected = f"[B, A], B at least 1 and A from 1 to {MAX_ACTIONS}"
        raise ValueError(f"initial_inference: policy_logits has shape {list(shape)}; expected {expected}")
    return shape[0], shape[1]


def _require_scalars(source: str, output: ModelOutput, batch: int, num_actions: int, device: torch.device) -> None:
    require(f"{source}: policy_logits", output.policy_logits, (batch, num_actions), (torch.float32,), device)
    require(f"{source}: value", output.value, (batch,), (torch.float32,), device)
    require(f"{source}: value_prefix", output.value_prefix, (batch,), (torch.float32,), device)


def _require_dense_rows(name: str, tensor: Tensor, batch: int, device: torch.device) -> None:
    """Each batch row must fill one block of memory, in any order of its dimensions (channels-last is one)."""
    if not isinstance(tensor, Tensor):
        raise ValueError(f"{name} is {type(tensor).__name__}; expected a tensor [B, ...]")
    if tensor.dim() < 1 or tensor.shape[0] != batch:
        raise ValueError(f"{name} has shape {list(tensor.shape)}; expected [{batch}, ...]")
    if tensor.device != device:
        raise ValueError(f"{name} is on {tensor.device}; expected {device}, where policy_logits are")
    span = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    row = tensor.numel() // batch
    if tensor.numel() and (span != tensor.numel() or (batch > 1 and tensor.stride(0) != row)):
        raise ValueError(f"{name} {list(tensor.shape)} has strides {list(tensor.stride())}; expected batch rows dense in memory")


def _require_same_layout(name: str, tensor: Tensor, like: Tensor) -> None:
    """Raises ValueError unless `tensor` has the shape, dtype, device and memory order of `like`."""
    if not isinstance(tensor, Tensor):
        raise ValueError(f"{name} is {type(tensor).__name__}; expected a tensor of shape {list(like.shape)}")
    same = tensor.shape == like.shape and tensor.dtype == like.dtype and tensor.device == like.device
    strides = zip(tensor.shape, tensor.stride(), like.stride(), strict=False)
    if not same or any(stride != expected_stride for size, stride, expected_stride in strides if size > 1):
        raise ValueError(f"{name} is {_describe(tensor)}; expected {_describe(like)}, as initial_inference gave")


def _describe(tensor: Tensor) -> str:
    return f"{_name(tensor.dtype)} {list(tensor.shape)} with strides {list(tensor.stride())} on {tensor.device}"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
