"""The optimiser and its schedule: the backward pass, clipping and the step, and no change where anything is not finite."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xtra.agents.efficientzero.config import OptimizerConfig


def learning_rate(update: int, config: OptimizerConfig) -> float:
    """Returns the learning rate of update number `update`: it grows linearly from 0 for `warmup_updates`, and is then multiplied
    by `decay_rate` after every `decay_interval` updates."""
    if update < config.warmup_updates:
        return config.learning_rate * update / config.warmup_updates
    decays = (update - config.warmup_updates) // config.decay_interval
    return config.learning_rate * float(config.decay_rate**decays)


class Optimizer:
    """SGD or AdamW over all parameters of a network.

    On CUDA a step waits for nothing, so that it can be part of a graph: the verdict on a loss or gradient that is not finite is
    reached on the device, where it makes the optimiser change nothing, and the learning rate is read from a tensor there.
    """

    def __init__(self, network: nn.Module, config: OptimizerConfig, multiples: Mapping[str, float] | None = None) -> None:
        """multiples: for each child module of the network the factor of its learning rate; None for one rate throughout."""
        self._network, self._config = network, config
        self._multiples = [1.0] if multiples is None else [multiples[name] for name, _ in network.named_children()]
        device = next(network.parameters()).device
        self._on_device = steps_on_device(device)
        parts = [network] if multiples is None else list(network.children())
        self._optimizer = _make_optimizer([list(part.parameters()) for part in parts], config, self._on_device)

    def set_learning_rate(self, update: int) -> None:
        """Sets the learning rate of the next step to that of update number `update`."""
        rate = learning_rate(update, self._config)
        for group, multiple in zip(self._optimizer.param_groups, self._multiples, strict=True):
            if self._on_device:
                group["lr"].fill_(rate * multiple)
            else:
                group["lr"] = rate * multiple

    def step(self, loss: Tensor) -> Tensor:
        """Takes one step down the gradient of `loss`, which is clipped to `max_gradient_norm`.

        Returns `[2]`: the loss, and the norm of its gradient before clipping. If either is not finite no weight has changed.
        """
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self._network.parameters(), self._config.max_gradient_norm)
        loss_and_norm = torch.stack([loss.detach(), norm])
        self._apply(loss_and_norm.isfinite().all())
        return loss_and_norm

    def metrics(self, loss_and_norm: NDArray[np.float32], update: int) -> dict[str, float]:
        """Names the loss and norm `[2]` that `step` returned in update number `update`. Raises FloatingPointError if one is not
        finite."""
        loss, norm = loss_and_norm.tolist()
        if not math.isfinite(loss):
            raise FloatingPointError(f"update {update}: the loss is {loss}")
        if not math.isfinite(norm):
            raise FloatingPointError(f"update {update}: the norm of the gradient is {norm}")
        return {"loss": loss, "gradient_norm": norm, "learning_rate": learning_rate(update, self._config)}

    def state(self) -> dict[str, Any]:
        """Returns everything that `restore` needs to go on bit for bit."""
        return self._optimizer.state_dict()

    def restore(self, state: dict[str, Any]) -> None:
        """Sets what `state` returned, except for the flags by which the optimiser suits its device: these stay this one's own.
        They also decide on which device Adam's step counters lie."""
        flags = ("lr", "fused", "capturable")
        own = [{name: group[name] for name in flags if name in group} for group in self._optimizer.param_groups]
        tensors_in_place = {parameter: dict(tensors) for parameter, tensors in self._optimizer.state.items()}
        groups = [{**saved, **own_flags} for saved, own_flags in zip(state["param_groups"], own, strict=True)]
        self._optimizer.load_state_dict({**state, "param_groups": groups})
        for group, own_flags in zip(self._optimizer.param_groups, own, strict=True):
            group |= own_flags  # the learning rate's own tensor, of which loading made a copy
        self._keep_in_place(tensors_in_place)

    def _keep_in_place(self, tensors_in_place: dict[Any, dict[str, Any]]) -> None:
        """Copies the restored tensors into those that the optimiser had before, since a captured graph reads and writes these.
        One that the state lacks is set to 0, with which all of them begin."""
        for parameter, tensors in tensors_in_place.items():
            restored = self._optimizer.state[parameter]
            for name, tensor in tensors.items():
                if isinstance(tensor, Tensor):
                    tensor.copy_(restored[name]) if name in restored else tensor.zero_()
                    restored[name] = tensor

    def _apply(self, finite: Tensor) -> None:
        # Clipping by an infinite norm has written NaN into every gradient.
        if self._on_device:
            # What gradient scalers tell a fused optimiser: where it is not 0, nothing changes.
            self._optimizer.found_inf = (~finite).float()  # type: ignore[attr-defined]
            self._optimizer.step()
        elif finite:
            self._optimizer.step()


def steps_on_device(device: torch.device) -> bool:
    """Tells whether a step is taken without asking the host whether loss and gradient are finite."""
    return device.type == "cuda"


def _make_optimizer(parts: Sequence[Sequence[Tensor]], config: OptimizerConfig, on_device: bool) -> torch.optim.Optimizer:
    """Makes an optimiser with a group of parameters, which has a learning rate of its own, for each of `parts`. A fused kernel
    updates the weights; with `on_device` it reads the learning rate from a tensor."""
    groups: list[dict[str, Any]] = [{"params": list(part)} for part in parts]
    for group, part in zip(groups, parts, strict=True):
        group["lr"] = torch.zeros((), device=part[0].device) if on_device else config.learning_rate
    settings: dict[str, Any] = {"weight_decay": config.weight_decay, "fused": True}
    if config.method == "adam":
        adam = torch.optim.AdamW(groups, capturable=on_device, **settings)
        # It would warn of every step that is not captured: the first ones, and those with gradients measured.
        adam._warned_capturable_if_run_uncaptured = True
        return adam
    return torch.optim.SGD(groups, momentum=config.momentum, **settings)
