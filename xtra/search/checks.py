"""Refusals: each names the argument, what came and what is expected. Nothing is converted or copied to make it fit."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from xtra.search.types import ModelOutput


def require(name: str, tensor: Tensor, shape: Sequence[int], dtypes: tuple[torch.dtype, ...], device: torch.device) -> None:
    """Raises ValueError unless `tensor` is a contiguous tensor of that shape, dtype and device."""
    expected = f"expected a contiguous {' or '.join(map(_name, dtypes))} tensor of shape {list(shape)} on {device}"
    if not isinstance(tensor, Tensor):
        raise ValueError(f"{name} is {type(tensor).__name__}; {expected}")
    if tuple(tensor.shape) != tuple(shape):
        raise ValueError(f"{name} has shape {list(tensor.shape)}; {expected}")
    if tensor.dtype not in dtypes:
        raise ValueError(f"{name} is {_name(tensor.dtype)}; {expected}")
    if tensor.device != device:
        raise ValueError(f"{name} is on {tensor.device}; {expected}")
    if not tensor.is_contiguous():
        raise ValueError(f"{name} has strides {list(tensor.stride())}; {expected}")


def require_output(source: str, output: ModelOutput, batch: int, num_actions: int, device: torch.device) -> None:
    """Checks what the search computes with. `source`: the method the output came from."""
    if not isinstance(output, ModelOutput):
        raise ValueError(f"{source} returned {type(output).__name__}; expected a ModelOutput")
    require(f"{source}: policy_logits", output.policy_logits, (batch, num_actions), (torch.float32,), device)
    require(f"{source}: value", output.value, (batch,), (torch.float32,), device)
    require(f"{source}: value_prefix", output.value_prefix, (batch,), (torch.float32,), device)


def require_dense_rows(name: str, tensor: Tensor, batch: int, device: torch.device) -> None:
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
        raise ValueError(
            f"{name} has shape {list(tensor.shape)} and strides {list(tensor.stride())}; expected batch rows dense in memory"
        )


def require_same_layout(name: str, tensor: Tensor, like: Tensor) -> None:
    """Raises ValueError unless `tensor` has the shape, dtype, device and memory order of `like`."""
    if not isinstance(tensor, Tensor):
        raise ValueError(f"{name} is {type(tensor).__name__}; expected a tensor of shape {list(like.shape)}")
    same = tensor.shape == like.shape and tensor.dtype == like.dtype and tensor.device == like.device
    strides = zip(tensor.shape, tensor.stride(), like.stride(), strict=False)
    if not same or any(ours != theirs for size, ours, theirs in strides if size > 1):
        raise ValueError(
            f"{name} is {_name(tensor.dtype)} {list(tensor.shape)} with strides {list(tensor.stride())} on {tensor.device}; "
            f"initial_inference gave {_name(like.dtype)} {list(like.shape)} with strides {list(like.stride())} on {like.device}, "
            "and recurrent_inference must give the same"
        )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
