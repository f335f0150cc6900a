"""Retention: a penalty that holds finetuning back from forgetting, without any source data in its updates.

    l2_sp          1/2 sum (w - w0)^2 over the loaded components' parameters (Li et al., 2018)
    ewc            1/2 sum F (w - w0)^2, with F the sources' diagonal Fisher information (Kirkpatrick et al., 2017)
    kickstarting   mean KL divergence of the policy from the pretrained one, on the target's observations (Schmitt et al., 2018;
                   in finetuning: Wolczyk et al., 2024)

w0 are the weights that training started from. Of heads that are not loaded, or drawn anew, there is nothing to forget
(`xtra.suite.finetuning_rules`).
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.agents.observation import to_observations
from xtra.rng import stream
from xtra.transfer.config import RetentionConfig
from xtra.transfer.tasks import Task


class Retention(Protocol):
    """A penalty on what the network has become."""

    def penalty(self, network: EfficientZeroNetwork, observations: Tensor) -> Tensor:
        """Returns a scalar that is 0 for the network that was started from. Where `start.batch_norm: target` then replaces its
        statistics, its policy departs before the first update. observations: the target's, `[B, 3 F, H, W]`."""
        ...


class WeightPenalty:
    """Half the sum of squared distances to the first weights, each times its importance (absent: 1)."""

    def __init__(
        self, network: EfficientZeroNetwork, components: Collection[str], importance: Mapping[str, Tensor] | None = None
    ) -> None:
        parameters = dict(network.named_parameters())
        names = [name for name in parameters if name.split(".")[0] in components]
        self._start = {name: parameters[name].detach().clone() for name in names}
        self._importance = importance or {}

    def penalty(self, network: EfficientZeroNetwork, observations: Tensor) -> Tensor:
        """Computes the penalty `[]` from the weights alone."""
        parameters = dict(network.named_parameters())
        squares = {name: (parameters[name] - start).square() for name, start in self._start.items()}
        weighted = [self._importance[name] * square if self._importance else square for name, square in squares.items()]
        return 0.5 * torch.stack([term.sum() for term in weighted]).sum()


class Kickstarting:
    """The divergence of today's policy from the first one. Its own forward passes read the batch that the update reads.

    valid_actions: the indices, among the network's outputs, of the target's actions.
    """

    def __init__(self, network: EfficientZeroNetwork, valid_actions: Sequence[int]) -> None:
        self._pretrained = copy.deepcopy(network).eval().requires_grad_(False)
        # On the device: a list of indices could not be captured.
        self._valid_actions = torch.tensor(list(valid_actions), device=next(network.parameters()).device)

    def penalty(self, network: EfficientZeroNetwork, observations: Tensor) -> Tensor:
        """Computes the mean KL(pretrained || current) `[]` over the game's own actions, on observations `[B, 3 F, H, W]`.

        Both networks are in evaluation mode, so that it leaves batch-norm statistics alone and is 0 at first. It is not where
        `start.batch_norm: target` estimates the learning network's statistics anew: the pretrained policy keeps its own.
        """
        with torch.no_grad():
            pretrained = self._log_policies(self._pretrained, observations)
        training = {module for module in network.modules() if module.training}
        network.eval()
        current = self._log_policies(network, observations)
        for module in training:
            module.training = True
        return (pretrained.exp() * (pretrained - current)).sum(-1).mean()

    def _log_policies(self, network: EfficientZeroNetwork, observations: Tensor) -> Tensor:
        """Returns `[B, A]`, over the game's A actions."""
        logits: Tensor = network.prediction(network.representation(observations))[0]
        return logits.index_select(1, self._valid_actions).float().log_softmax(-1)


def make_retention(
    config: RetentionConfig,
    network: EfficientZeroNetwork,
    components: Collection[str],
    valid_actions: Sequence[int],
    sources: Sequence[Task],
    seed: int,
) -> Retention | None:
    """Makes the penalty on departing from `network` as it is now; None for method `none`. components: those that were loaded;
    valid_actions: the indices of the target's actions in the network's outputs; sources: read by `ewc` alone."""
    match config.method:
        case "none":
            return None
        case "l2_sp":
            return WeightPenalty(network, components)
        case "ewc":
            return WeightPenalty(network, components, diagonal_fisher(network, sources, config.fisher_samples, seed))
        case "kickstarting":
            return Kickstarting(network, valid_actions)


def diagonal_fisher(network: EfficientZeroNetwork, tasks: Sequence[Task], num_samples: int, seed: int) -> dict[str, Tensor]:
    """Returns, by parameter and in its shape `[...]`, the mean square of the gradient of log p(y | s, a), over `num_samples`
    transitions of each task.

    y is drawn from the network's own distributions, as the Fisher information demands (Kunstner et al., 2019): an action, a value
    and a value prefix, for the state and one step after it along the recorded action. The projection is not part of p: 0.
    """
    network = copy.deepcopy(network).eval().requires_grad_(True)
    device = next(network.parameters()).device
    generator = torch.Generator(device).manual_seed(int(stream(seed, "fisher").integers(2**62)))
    total = {name: torch.zeros_like(value) for name, value in network.named_parameters()}
    for task in tasks:
        rows = stream(seed, "fisher", task.game).integers(task.replay.num_rows, size=num_samples)
        for stacks, action in _transitions(task, rows, network.config.frame_stack):
            network.zero_grad(set_to_none=True)
            observations, actions = to_observations(stacks, device), torch.from_numpy(action).to(device)
            log_likelihood(network, observations, actions, generator).backward()
            for name, value in network.named_parameters():
                if value.grad is not None:
                    total[name] += value.grad.square()
    return {name: value / (num_samples * len(tasks)) for name, value in total.items()}


def log_likelihood(network: EfficientZeroNetwork, observations: Tensor, actions: Tensor, generator: torch.Generator) -> Tensor:
    """Returns the summed log-probability of outcomes drawn from the network's own heads. observations `[B, 3 F, H, W]`; actions
    `[B]`: taken there."""
    latent = network.representation(observations)
    following, _, prefix_logits = network.dynamics(latent, network.zero_lstm_state(len(latent), latent.device), actions)
    heads = (*network.prediction(latent), *network.prediction(following), prefix_logits)
    outcomes = [logits.detach().softmax(-1).multinomial(1, generator=generator) for logits in heads]
    return torch.stack([logits.log_softmax(-1).gather(1, y).sum() for logits, y in zip(heads, outcomes, strict=True)]).sum()


def _transitions(task: Task, rows: NDArray[np.int64], frame_stack: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """Yields stacks `[1, frame_stack, H, W, C]` and the action `[1]` taken there, row by row."""
    for row in rows[:, None]:
        yield task.replay.stacks(row, np.zeros_like(row), frame_stack), task.replay.actions[task.replay.slots(row), 0]
