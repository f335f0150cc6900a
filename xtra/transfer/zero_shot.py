"""Losses of a pretrained network on a target game that it has never seen: how well its model predicts there, and whether the
target's gradient points where its source games' does.

Nothing is learned: the network is read as finetuning would find it before the first update.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xtra.agents.efficientzero.batch import TensorBatch, to_tensors
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.efficientzero.copies import inference_copy
from xtra.agents.efficientzero.losses import step_losses, total_loss, unroll_losses
from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.agents.efficientzero.planning import Planner
from xtra.agents.efficientzero.targets import TargetMaker, assemble
from xtra.replay.buffer import Sample
from xtra.replay.window import Window
from xtra.rng import derive_seed, stream
from xtra.transfer.config import COMPONENTS, Component
from xtra.transfer.task_weights import cosine, gradient
from xtra.transfer.tasks import Task

CHUNK = 128
"""Transitions that the model is unrolled on at a time."""


@dataclass(frozen=True)
class ModelFit:
    """The fit of the unrolled model to what follows, by unroll step: `[K]` each, means over the transitions that have such a
    step, NaN where none has.

    value_prefix: the mean log-likelihood of the value prefix, at most 0. consistency: the mean cosine, in [-1, 1], of the
    projections of the imagined latent and of the one really seen. Both are minus the losses of training.
    """

    value_prefix: NDArray[np.float64]
    consistency: NDArray[np.float64]


@torch.no_grad()
def model_fit(network: EfficientZeroNetwork, game: Task, rows: NDArray[np.int64], config: EfficientZeroConfig) -> ModelFit:
    """Unrolls the model from the transitions `rows` `[N]` along the actions that were taken. Batch norm uses its running
    statistics, as searches do."""
    judge = config.model_copy(
        update={"optimizer": config.optimizer.model_copy(update={"consistency_weight": 1.0, "augmentation": "none"})}
    )
    network = copy.deepcopy(network).eval()
    sums, counts = torch.zeros(2, config.targets.num_unroll_steps), torch.zeros(2, config.targets.num_unroll_steps)
    for batch in recorded_batches(game, rows, judge, next(network.parameters()).device):
        losses = step_losses(network, batch, judge)
        masks = batch.alive[:, :-1].float(), batch.observed.float()
        for place, (loss, mask) in enumerate(zip((losses.value_prefix, losses.consistency), masks, strict=True)):
            sums[place] += (loss * mask).sum(0).cpu()
            counts[place] += mask.sum(0).cpu()
    means = (-sums / counts).double().numpy()
    return ModelFit(means[0], means[1])


def recorded_batches(
    game: Task, rows: NDArray[np.int64], config: EfficientZeroConfig, device: torch.device
) -> Iterator[TensorBatch]:
    """Yields batches of CHUNK transitions: the observations, actions and rewards that follow each of `rows` `[N]`, with policies
    and values of 0, which only a teacher or a search could tell."""
    num_steps = config.targets.num_unroll_steps + 1
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        window = Window(game.replay, Sample(part, np.zeros_like(part), np.ones(len(part), np.float32)), num_steps + 1)
        nothing = np.zeros((len(part), num_steps), np.float32)
        policies = np.zeros((len(part), num_steps, game.action_space.size), np.float32)
        padding = stream(0, "padding-actions", game.game, start)
        batch = assemble(config, window, np.ones(len(part), np.float32), nothing, policies, game.action_space, padding)
        yield to_tensors(batch, config, device, 0)


def gradient_cosines(
    network: EfficientZeroNetwork, target: Task, source: Task, config: EfficientZeroConfig, seed: int, num_threads: int = 1
) -> dict[Component, float]:
    """Returns, by component, the cosine between the gradients of the loss on a batch of either game. Xu et al. (2023, section
    4.2) measure it over all components at once, and while finetuning.

    Both batches have the targets that EfficientZero's reanalysis makes with this network.
    """
    losses = [_loss(network, game, config, seed, num_threads) for game in (target, source)]
    cosines: dict[Component, float] = {}
    for component in COMPONENTS:
        of_target, of_source = (
            gradient(loss, list(trained.get_submodule(component).parameters()), clamp=torch.inf) for trained, loss in losses
        )
        cosines[component] = cosine(of_target, of_source)
    return cosines


def _loss(
    network: EfficientZeroNetwork, game: Task, config: EfficientZeroConfig, seed: int, num_threads: int
) -> tuple[EfficientZeroNetwork, Tensor]:
    """Returns the loss on one batch as training computes it, and the copy of the network whose gradient it has."""
    rng = stream(seed, "gradient-cosine", game.game)
    sample = game.replay.sample(config.optimizer.batch_size, rng, 0.0)
    own_seed = derive_seed(seed, "gradient-cosine", game.game)
    planner = Planner(config.search, game.action_space, own_seed, num_threads)
    batch = TargetMaker(config, planner, own_seed).make(game.replay, sample, inference_copy(network, config.precision), 0)
    trained = copy.deepcopy(network).train()
    tensors = to_tensors(batch, config, next(trained.parameters()).device, own_seed)
    return trained, total_loss(unroll_losses(trained, tensors, config), tensors, config)
