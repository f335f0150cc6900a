"""Measurements that show early whether a training learns: its model in training mode and as it acts, policies beside their
targets.

Each is made on one batch of the replay, at every point of the learning curve, and changes nothing.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor

from xtra.agents.efficientzero.batch import TensorBatch
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.efficientzero.losses import step_losses
from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.agents.efficientzero.planning import Planner
from xtra.search import ModelOutput, SearchModel

Row = dict[str, Any]
"""`quantity`, `unroll_step` and `value`: a row of diagnostics.csv without its cell and counters."""

TERMS = ("value_prefix", "policy", "value", "consistency")


def loss_rows(network: EfficientZeroNetwork, batch: TensorBatch, config: EfficientZeroConfig) -> list[Row]:
    """Returns the mean of each term at each unroll step, with batch norm by the batch (`..._loss.training`) and by its running
    statistics (`..._loss.evaluation`), which searches use. Steps that follow an action are numbered from 1.

    Where the second is much the larger, the network does not act by what it has learned.
    """
    rows: list[Row] = []
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
) -> list[Row]:
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
    one, other = (planner.explore(target, observations, f"diagnose-{name}", update).action_weights for name in ("a", "b"))
    own = planner.explore(network, observations, "diagnose-own", update)
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


def _row(quantity: str, value: float, unroll_step: int = 0) -> Row:
    return {"quantity": quantity, "unroll_step": unroll_step, "value": value}
