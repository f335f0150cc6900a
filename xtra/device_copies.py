"""Copies between host and GPU, several arrays in one.

A copy from pageable memory makes the host wait until the device is through with all that was asked of it before, and each has a
price of its own. So an update sends what it has at hand together, from pinned memory, and fetches its answers together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

ALIGNMENT = 512
"""Bytes, as PyTorch aligns what it allocates on CUDA: kernels load several numbers at once."""


def to_device(device: torch.device, *arrays: NDArray[Any] | Tensor) -> list[Tensor]:
    """Returns arrays `[...]` of the host, or tensors of the host or of `device`, as tensors on `device`.

    On a GPU those of the host come in one copy, which is not waited for; on the CPU there is no copy, and memory is shared.
    """
    tensors = [torch.as_tensor(array) for array in arrays]
    if device.type == "cpu":
        return tensors
    on_host = [tensor for tensor in tensors if tensor.device.type == "cpu"]
    if not on_host:
        return tensors
    packed = pack(on_host, pinned=device.type == "cuda").to(device, non_blocking=True)
    moved = iter(unpack(packed, on_host))
    return [next(moved) if tensor.device.type == "cpu" else tensor for tensor in tensors]


def tree_to_device(device: torch.device, tree: Any) -> Any:
    """Returns a tree of tuples, dictionaries, arrays, tensors and None with its arrays `[...]` as tensors on `device`, which come
    as in `to_device`."""
    return _rebuilt(tree, iter(to_device(device, *_leaves(tree))))


def _leaves(tree: Any) -> list[Any]:
    """Returns what a tree holds but for None, in order. (PyTorch's own trees did not know generic named tuples before 2.5.)"""
    if tree is None:
        return []
    if isinstance(tree, tuple | dict):
        parts = tree.values() if isinstance(tree, dict) else tree
        return [leaf for part in parts for leaf in _leaves(part)]
    return [tree]


def _rebuilt(tree: Any, leaves: Iterator[Any]) -> Any:
    """Returns a tree like `tree` that holds the next of `leaves`."""
    if tree is None:
        return None
    if isinstance(tree, dict):
        return {key: _rebuilt(part, leaves) for key, part in tree.items()}
    if isinstance(tree, tuple):
        parts = [_rebuilt(part, leaves) for part in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)
    return next(leaves)


def to_host(*tensors: Tensor) -> list[NDArray[Any]]:
    """Returns tensors `[...]` of one device, of types that NumPy has, as arrays.

    From a GPU they come in one copy, for which the host waits once; on the CPU there is no copy, and memory is shared.
    """
    tensors = tuple(tensor.detach() for tensor in tensors)
    if any(tensor.device.type != "cpu" for tensor in tensors):
        tensors = tuple(unpack(pack(tensors).cpu(), tensors))
    return [tensor.numpy() for tensor in tensors]


def pack(tensors: Sequence[Tensor], *, pinned: bool = False) -> Tensor:
    """Writes tensors `[...]` of one device one after another into bytes `[S]`, each at a multiple of `ALIGNMENT`."""
    *_, size = _places(tensors)
    device = tensors[0].device if tensors else None
    packed = torch.empty(size, dtype=torch.uint8, device=device, pin_memory=pinned)
    for target, tensor in zip(unpack(packed, tensors), tensors, strict=True):
        target.copy_(tensor)
    return packed


def unpack(packed: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Returns the views of bytes `[S]` that hold what was packed, with the types and shapes of `like`."""
    return [
        packed[place : place + tensor.nbytes].view(tensor.dtype).view(tensor.shape)
        for place, tensor in zip(_places(like), like, strict=False)
    ]


def _places(tensors: Sequence[Tensor]) -> list[int]:
    """Returns where each begins, in bytes, and where the last one's room ends."""
    return list(accumulate((-(-tensor.nbytes // ALIGNMENT) * ALIGNMENT for tensor in tensors), initial=0))
