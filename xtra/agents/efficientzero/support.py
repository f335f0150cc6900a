"""Scalars as categories: the invertible transform h and two-hot vectors over the integers -support..support (MuZero, appendix F).

The transform is EfficientZero's corrected one (February 2022); XTRA's released code still has the older form, whose sign of the
epsilon term is wrong for negative values.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from xtra.agents.efficientzero.fusion import compiled

EPSILON = 0.001

INVERSE_TRANSFORM = f"""
template <typename T> T inverse_transform(T y) {{
    const T a = abs(y) + 1 + T({EPSILON});
    const T root = 2 * a / (1 + sqrt(1 + 4 * T({EPSILON}) * a));
    const T x = root * root - 1;
    return y < 0 ? -x : y > 0 ? x : y;
}}
"""
"""`inverse_transform` as one kernel on a GPU."""


def transform(x: Tensor) -> Tensor:
    """Computes h(x) = sign(x)(sqrt(|x| + 1) - 1) + epsilon x of each entry, `[...]`."""
    return x.sign() * ((x.abs() + 1).sqrt() - 1) + EPSILON * x


def inverse_transform(y: Tensor) -> Tensor:
    """Returns the x with h(x) = y of each entry, `[...]`.

    MuZero's (sqrt(1 + 4 e a) - 1) / (2 e) is written without its cancellation, which costs float32 3 digits.
    """
    if y.is_cuda and not y.requires_grad and (kernel := compiled(INVERSE_TRANSFORM)) is not None:
        return kernel(y)
    a = y.abs() + 1 + EPSILON
    root = 2 * a / (1 + (1 + 4 * EPSILON * a).sqrt())
    return y.sign() * (root**2 - 1)


def to_categorical(x: Tensor, support: int) -> Tensor:
    """Maps scalars `[...]` to probabilities `[..., 2 support + 1]`: h(x), clipped to the support, split over its two
    neighbours."""
    y = transform(x).clamp(-support, support)
    low = y.floor().unsqueeze(-1)
    upper_share = y.unsqueeze(-1) - low
    bins = torch.arange(-support, support + 1, dtype=x.dtype, device=x.device)
    # By comparison and not by a scatter, whose deterministic kernels on CUDA are dozens. At the upper edge the upper share is 0.
    return (bins == low) * (1 - upper_share) + (bins == low + 1) * upper_share


def to_scalar(logits: Tensor, support: int) -> Tensor:
    """Maps logits `[..., 2 support + 1]` to scalars `[...]`: the expectation under their softmax, transformed back.

    In float32 under autocast, too: bfloat16 would round bins and shares.
    """
    with torch.autocast(logits.device.type, enabled=False):
        return inverse_transform(logits.softmax(-1, torch.float32) @ _bins(support, logits.device))


def to_scalars(logits: Sequence[Tensor], support: int) -> tuple[Tensor, ...]:
    """Maps each of several logits `[..., 2 support + 1]` to scalars `[...]`; on a GPU all at once, in as few kernels as one."""
    if logits[0].is_cuda:
        return to_scalar(torch.stack(tuple(logits)), support).unbind()
    return tuple(to_scalar(each, support) for each in logits)


@cache
def _bins(support: int, device: torch.device) -> Tensor:
    return torch.arange(-support, support + 1, dtype=torch.float32, device=device)
