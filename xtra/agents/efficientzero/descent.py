"""One step of the optimiser, and the delayed copy of the network that makes targets: what every way of training it shares."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from xtra.agents.efficientzero.config import OptimizerConfig
from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.agents.efficientzero.precision import Precision, inference_copy
from xtra.agents.efficientzero.schedules import learning_rate
from xtra.cuda_graphs import CudaRecorder, GraphedFunction, graphs_are_wanted

Evaluate = Callable[..., tuple[Tensor, ...]]


class Descent:
    """A network's optimiser and its steps. evaluate: from an update's inputs to its loss and whatever else is to be told of it.

    On CUDA a whole step, from the forward pass to the changed weights, is captured as a graph. So the verdict on a loss or
    gradient that is not finite is reached on the device, where it makes the optimiser change nothing.
    """

    def __init__(self, network: EfficientZeroNetwork, config: OptimizerConfig, evaluate: Evaluate) -> None:
        self._network, self._config, self._evaluate = network, config, evaluate
        self._device = next(network.parameters()).device
        self._on_device = steps_on_device(self._device)
        self._rate = torch.zeros((), device=self._device)
        # Batch norm over an episode's living steps picks rows by their data.
        self._captures = graphs_are_wanted(self._device) and config.unroll_batch_norm == "per_step"
        self._optimizer = _make_optimizer(network, config, self._on_device, self._rate)
        self._begin()

    def step(self, inputs: Sequence[Tensor], update: int) -> tuple[dict[str, float], list[Tensor]]:
        """Update number `update`: metrics, and on the host what `evaluate` returned beside the loss.

        Raises FloatingPointError, before any weight changes, if loss or gradient is not finite.
        """
        return self._take(update, self._run, inputs)

    def step_from(self, outcome: Sequence[Tensor], update: int) -> tuple[dict[str, float], list[Tensor]]:
        """The same for what `evaluate` has returned already; never captured."""
        return self._take(update, self._change, outcome)

    def state(self) -> dict[str, Any]:
        """The optimiser's."""
        return self._optimizer.state_dict()

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`. How the optimiser runs is the device's affair, not the state's: Adam's counters, too, go where
        these flags send them."""
        (group,) = self._optimizer.param_groups
        own: dict[str, Any] = {name: group[name] for name in ("lr", "fused", "capturable") if name in group}
        groups = [{**saved, **own} for saved in state["param_groups"]]
        self._optimizer.load_state_dict({**state, "param_groups": groups})
        self._optimizer.param_groups[0] |= own  # the learning rate's own tensor, of which loading made a copy
        self._begin()

    def _begin(self) -> None:
        """Forgets what was captured: a restored optimiser's tensors lie elsewhere."""
        self._run: Evaluate = GraphedFunction(self._compute, CudaRecorder(self._device)) if self._captures else self._compute

    def _take(self, update: int, act: Evaluate, inputs: Sequence[Tensor]) -> tuple[dict[str, float], list[Tensor]]:
        rate = learning_rate(update, self._config)
        self._set_rate(rate)
        verdict, *others = act(*inputs)
        # Complete once the verdict has been waited for: the one time that an update waits for the device.
        outputs = [output.to("cpu", non_blocking=True) for output in others]
        loss, norm = verdict.tolist()
        if not math.isfinite(loss):
            raise FloatingPointError(f"update {update}: the loss is {loss}")
        if not math.isfinite(norm):
            raise FloatingPointError(f"update {update}: the norm of the gradient is {norm}")
        return {"loss": loss, "gradient_norm": norm, "learning_rate": rate}, outputs

    def _compute(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return self._change(*self._evaluate(*inputs))

    def _change(self, loss: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        """One step down the gradient of `loss`. Returns `[loss, gradient norm]` and the others."""
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self._network.parameters(), self._config.max_gradient_norm)
        verdict = torch.stack([loss.detach(), norm])
        self._apply(verdict.isfinite().all())
        return verdict, *(other.detach() for other in others)

    def _apply(self, finite: Tensor) -> None:
        # Clipping by an infinite norm has written NaN into every gradient.
        if self._on_device:
            # What gradient scalers tell a fused optimiser: where it is not 0, nothing changes.
            self._optimizer.found_inf = (~finite).float()  # type: ignore[attr-defined]
            self._optimizer.step()
        elif finite:
            self._optimizer.step()

    def _set_rate(self, rate: float) -> None:
        if self._on_device:
            self._rate.fill_(rate)
        else:
            self._optimizer.param_groups[0]["lr"] = rate


def steps_on_device(device: torch.device) -> bool:
    """Whether a step is taken without asking the host whether loss and gradient are finite."""
    return device.type == "cuda"


def _make_optimizer(
    network: EfficientZeroNetwork, config: OptimizerConfig, on_device: bool, device_rate: Tensor
) -> torch.optim.Optimizer:
    """Over all parameters. On a device all weights are changed by one kernel, which reads its learning rate there."""
    rate, fused = (device_rate, True) if on_device else (config.learning_rate, None)
    settings: dict[str, Any] = {"lr": rate, "weight_decay": config.weight_decay, "fused": fused}
    if config.method == "adam":
        adam = torch.optim.AdamW(network.parameters(), capturable=on_device, **settings)
        # It would warn of every step that is not captured: the first ones, and those with gradients measured.
        adam._warned_capturable_if_run_uncaptured = True
        return adam
    return torch.optim.SGD(network.parameters(), momentum=config.momentum, **settings)


class DelayedTarget:
    """A snapshot of a network, taken every `interval` updates and used one interval late."""

    def __init__(self, network: EfficientZeroNetwork, interval: int, precision: Precision = "float32") -> None:
        self._interval = interval
        self.network = inference_copy(network, precision)
        self._next = copy.deepcopy(network).eval()

    def refresh(self, source: EfficientZeroNetwork, update: int) -> None:
        """After update number `update` of `source`."""
        if (update + 1) % self._interval == 0:
            self.network.load_state_dict(self._next.state_dict())
            self._next.load_state_dict(source.state_dict())

    def reset(self, source: EfficientZeroNetwork) -> None:
        """Starts anew from `source`."""
        for network in (self.network, self._next):
            network.load_state_dict(source.state_dict())

    def state(self) -> dict[str, Any]:
        """Both copies."""
        return {"target": self.network.state_dict(), "next_target": self._next.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        self.network.load_state_dict(state["target"])
        self._next.load_state_dict(state["next_target"])
