"""Fewer kernels where a network only infers: on a GPU a search waits for each kernel to start, hardly for its arithmetic.

There a layer is one kernel with its bias and with the sum and the ReLU that follow it, and so is the transform of scalars, which
PyTorch's jiterator compiles at its first use. On CPU the same functions are the plain operations, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from xtra.search.nvrtc import CompilationError, find_nvrtc

Elementwise = Callable[[Tensor], Tensor]

_refused: set[tuple[torch.dtype, torch.Size, bool]] = set()
"""Type and weights' shape of convolutions, and whether something is added, that cuDNN does not join on this GPU."""


def convolve(layer: nn.Conv2d, x: Tensor, plus: Tensor | None = None) -> Tensor:
    """Returns relu(layer(x) + plus), `[B, C, H, W]`. The layer has a bias, and nothing is learned through it."""
    return convolve_by(layer.weight, layer.bias, x, plus, layer.stride, layer.padding)  # type: ignore[arg-type]


def convolve_by(
    weight: Tensor,
    bias: Tensor | None,
    x: Tensor,
    plus: Tensor | None = None,
    stride: tuple[int, ...] = (1, 1),
    padding: tuple[int, ...] = (0, 0),
) -> Tensor:
    """Returns relu(x convolved by the weight + bias + plus), `[B, C, H, W]`.

    PyTorch lets cuDNN choose any algorithm here, whatever deterministic mode says; those of forward passes are deterministic.
    """
    kind = x.dtype, weight.shape, plus is None
    if x.is_cuda and kind not in _refused:
        place: Any = stride, padding, (1, 1), 1
        try:
            if plus is None:
                return torch.cudnn_convolution_relu(x, weight, bias, *place)
            return torch.cudnn_convolution_add_relu(x, weight, plus, 1.0, bias, *place)
        except RuntimeError as error:
            if isinstance(error, torch.cuda.OutOfMemoryError) or torch.cuda.is_current_stream_capturing():
                raise
            _refused.add(kind)
            print(f"convolutions {list(weight.shape)} in {x.dtype} are not joined with what follows them: {error}")
    y = functional.conv2d(x, weight, bias, stride, padding)
    return (y if plus is None else y.add_(plus)).relu_()


def multiply(weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    """Returns relu(x times the weight + bias), `[B, out]` of `[B, in]`."""
    if x.is_cuda:
        return torch._addmm_activation(bias, x, weight.t())
    return functional.linear(x, weight, bias).relu_()


class ConvReLU(nn.Conv2d):
    """A convolution with a bias, and the ReLU after it: `[B, in, H, W]` to `[B, out, H', W']`."""

    @staticmethod
    def of(layer: nn.Conv2d) -> ConvReLU:
        """Makes one with the same parameters."""
        sizes = layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding
        fused = ConvReLU(*sizes, device="meta")  # type: ignore[arg-type]
        fused.weight, fused.bias = layer.weight, layer.bias
        return fused

    def forward(self, input: Tensor) -> Tensor:
        return convolve(self, input)


class LinearReLU(nn.Linear):
    """A linear layer with a bias, and the ReLU after it: `[B, in]` to `[B, out]`."""

    @staticmethod
    def of(layer: nn.Linear) -> LinearReLU:
        """Makes one with the same parameters."""
        fused = LinearReLU(layer.in_features, layer.out_features, device="meta")
        fused.weight, fused.bias = layer.weight, layer.bias
        return fused

    def forward(self, input: Tensor) -> Tensor:
        return multiply(self.weight, self.bias, input)


def fuse_relu(network: nn.Module) -> None:
    """Has every layer of a sequence apply the ReLU that follows its folded batch norm. Weights keep their names."""
    for sequence in [module for module in network.modules() if isinstance(module, nn.Sequential)]:
        layers = list(sequence)
        for place, (layer, norm, relu) in enumerate(zip(layers, layers[1:], layers[2:], strict=False)):
            if not (isinstance(norm, nn.Identity) and isinstance(relu, nn.ReLU)):
                continue
            if isinstance(layer, nn.Conv2d):
                sequence[place], sequence[place + 2] = ConvReLU.of(layer), nn.Identity()
            elif isinstance(layer, nn.Linear):
                sequence[place], sequence[place + 2] = LinearReLU.of(layer), nn.Identity()


@cache
def compiled(source: str) -> Elementwise | None:
    """Compiles a function of one number, in C++, to a kernel over a CUDA tensor's entries; None where it cannot be."""
    try:
        find_nvrtc()  # which loads what NVRTC itself may not find
        function: Elementwise = torch.cuda.jiterator._create_jit_fn(source)
        function(torch.zeros(1, device="cuda"))
    except (CompilationError, RuntimeError) as error:
        print(f"scalars are transformed by several kernels: {error}")
        return None
    return function
