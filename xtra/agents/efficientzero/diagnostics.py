"""Measurements that show early whether a training learns: its model in training mode and as it acts, policies beside their
targets; and whether its network still can (plasticity): dormant units and the effective rank of its latents.

They are made on the replay, at every point of the learning curve, and change nothing.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from xtra.agents.efficientzero.batch import TensorBatch
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.efficientzero.losses import step_losses
from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.agents.efficientzero.planning import Planner
from xtra.agents.observation import to_observations
from xtra.replay.buffer import ReplayBuffer
from xtra.search import ModelOutput, SearchModel, SearchResult

DiagnosticRow = dict[str, Any]
"""`quantity`, `unroll_step` and `value`: a row of diagnostics.csv without its cell and counters."""

TERMS = ("value_prefix", "policy", "value", "consistency")

DORMANT = 0.025
"""A unit is dormant when its mean activation is at most this share of its layer's mean (Sokar et al., 2023, tau)."""

DISCARDED = 0.01
"""The share of the singular values' sum that the effective rank leaves out (Kumar et al., 2021, delta)."""

NUM_OBSERVATIONS = 256
"""Observations that a measurement sees; the effective rank is at most this. [ours]"""

RECTIFIERS = (torch.relu, torch.relu_, Tensor.relu, Tensor.relu_, functional.relu)


def loss_rows(network: EfficientZeroNetwork, batch: TensorBatch, config: EfficientZeroConfig) -> list[DiagnosticRow]:
    """Returns the mean of each term at each unroll step, with batch norm by the batch (`..._loss.training`) and by its running
    statistics (`..._loss.evaluation`), which searches use. Steps that follow an action are numbered from 1.

    Where the second is much the larger, the network does not act by what it has learned.
    """
    rows: list[DiagnosticRow] = []
    for mode in ("training", "evaluation"):
        measured = copy.deepcopy(network).train(mode == "training")
        with torch.no_grad():
            losses = step_losses(measured, batch, config)
        for term in TERMS:
            means = getattr(losses, term).mean(0).tolist()
            first = config.targets.num_unroll_steps + 1 - len(means)
            rows += [_row(f"{term}_loss.{mode}", value, first + step) for step, value in enumerate(means)]
    return rows


@torch.no_grad()
def policy_rows(
    network: EfficientZeroNetwork,
    target: EfficientZeroNetwork,
    next_target: EfficientZeroNetwork,
    batch: TensorBatch,
    planner: Planner,
    discount: float,
    update: int,
) -> list[DiagnosticRow]:
    """Measures policies at the batch's first observations `[B, ...]`.

    network: the acting one.  discount: per env step. The rows:

    * `policy_loss.uniform`: what a uniform policy over the valid actions loses, log of their number. A network with outputs for
      more actions (`network.action_space: ale18`) can lose more, until it has learned to give invalid ones no weight.
    * `policy_target_entropy`: the least that any policy can lose.
    * `policy_loss.own_search`: of the acting network's prior towards its own searches; far below the loss towards the target
      network's when policies move faster than they are learned.
    * `search_agreement`: share of positions where two searches by the target network, with other root noise, prefer the same
      action; near 1 / actions when values are noise.
    * `target_policy_shift`: total variation, in [0, 1], between the priors of this target network and the next.
    * `q_spread`: standard deviation of one-step Q over the valid actions, by the target network; a mean over positions.
    * `q_shift`: root mean square of how much an action's advantage (Q minus its mean over actions) differs between this target
      network and the next. Where it is no smaller than the spread, a search that trusts Q turns noise into policies.
    """
    observations = batch.observation

    def explore(searched: EfficientZeroNetwork, name: str) -> SearchResult:
        return planner.explore(searched, observations, planner.draw_exploration(len(observations), f"diagnose-{name}", update))

    one, other, own = explore(target, "a").action_weights, explore(target, "b").action_weights, explore(network, "own")
    log_prior = _log_prior(own.root_output.policy_logits, planner)
    roots = [(net, net.initial_inference(observations)) for net in (target, next_target)]
    here, there = (_log_prior(root.policy_logits, planner).exp() for _, root in roots)
    spread, shift = q_spread_and_shift(*(one_step_q(net, root, planner, discount) for net, root in roots))
    targets = batch.policies[:, 0]
    valid = list(planner.space.valid)
    return [
        _row("policy_loss.uniform", math.log(len(valid))),
        _row("policy_target_entropy", -torch.xlogy(targets, targets).sum(1).mean().item()),
        _row("policy_loss.own_search", -(own.action_weights[:, valid] * log_prior).sum(1).mean().item()),
        _row("search_agreement", (one.argmax(1) == other.argmax(1)).float().mean().item()),
        _row("target_policy_shift", 0.5 * (here - there).abs().sum(1).mean().item()),
        _row("q_spread", spread),
        _row("q_shift", shift),
    ]


def _log_prior(logits: Tensor, planner: Planner) -> Tensor:
    """Returns the log prior `[B, V]` over the V valid actions, the only ones that are searched."""
    return logits[:, list(planner.space.valid)].log_softmax(1)


def q_spread_and_shift(q: Tensor, next_q: Tensor) -> tuple[float, float]:
    """Returns how much Q `[B, V]` differs between actions, and its advantages from those of another network."""
    advantages, others = (values - values.mean(1, keepdim=True) for values in (q, next_q))
    return q.std(1, correction=0).mean().item(), (advantages - others).square().mean().sqrt().item()


def one_step_q(network: SearchModel, root: ModelOutput, planner: Planner, discount: float) -> Tensor:
    """Returns reward + discount * value `[B, V]` of the V valid actions, by the model alone, without a search.

    root: what the network infers from B observations.
    """
    actions = (torch.full_like(root.value, action, dtype=torch.int64) for action in planner.space.valid)
    children = [network.recurrent_inference(root.latent, root.value_prefix_state, action) for action in actions]
    return torch.stack([child.value_prefix + discount * child.value for child in children], dim=1)


def _row(quantity: str, value: float, unroll_step: int = 0) -> DiagnosticRow:
    return {"quantity": quantity, "unroll_step": unroll_step, "value": value}


def plasticity_on_replay(network: EfficientZeroNetwork, replay: ReplayBuffer, rng: np.random.Generator) -> dict[str, float]:
    """Measures a network on observations drawn uniformly from the last half of the transitions that a replay holds."""
    oldest = (replay.oldest_row + replay.num_rows) // 2
    rows = rng.integers(oldest, replay.num_rows, NUM_OBSERVATIONS)
    stacks = replay.stacks(rows, rng.integers(replay.num_envs, size=NUM_OBSERVATIONS), network.config.frame_stack)
    return plasticity(network, to_observations(stacks, next(network.parameters()).device))


class _Rectified(TorchFunctionMode):
    """Collects the output of every ReLU that is called."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if func in RECTIFIERS:
            self.outputs.append(output)
        return output


@torch.no_grad()
def plasticity(network: EfficientZeroNetwork, observations: Tensor) -> dict[str, float]:
    """Measures a network on observations `[B, 3 F, H, W]`. Returns `dormant_fraction`, of the units of all rectified layers that
    representation and prediction have, and `effective_rank`, of the latents. Leaves the network as it was."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    with _Rectified() as rectified:
        latents = network.representation(observations)
        network.prediction(latents)
    for module, training in modes.items():
        module.training = training
    return {
        "dormant_fraction": dormant_fraction(rectified.outputs),
        "effective_rank": effective_rank(latents.flatten(1)),
    }


def dormant_fraction(layers: list[Tensor]) -> float:
    """Returns the share of dormant units. layers: activations `[B, units]` or `[B, channels, H, W]`, a channel being a unit."""
    scores = []
    for layer in layers:
        activity = layer.abs().flatten(2).mean((0, 2)) if layer.dim() > 2 else layer.abs().mean(0)
        scores.append(activity / activity.mean().clamp_min(torch.finfo(activity.dtype).tiny))
    return float((torch.cat(scores) <= DORMANT).float().mean())


def effective_rank(features: Tensor) -> int:
    """Returns the least number of singular values of features `[B, D]` that sum to 1 - DISCARDED of all; 0 for zeros."""
    values = torch.linalg.svdvals(features.float())
    if not values.any():
        return 0
    return int((values.cumsum(0) / values.sum() < 1 - DISCARDED).sum()) + 1
