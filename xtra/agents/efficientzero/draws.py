"""The batches of the updates to come, drawn and reanalysed some at a time.

With `targets.batches_at_once` above 1, the samples of that many updates are drawn together and reanalysed as one batch, so that a
search has that many times more roots. No draw reaches across a change of the target network, and what is left of one is dropped
when a row of env steps is added. So every sample is drawn from the rows, and gets its targets from the network, that it would
have if it were drawn for its update alone; but it is drawn by the priorities from before the first update of its draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from xtra.agents.efficientzero.batch import Batch, take_every
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.efficientzero.copies import DelayedTarget
from xtra.agents.efficientzero.targets import TargetMaker
from xtra.agents.interface import TrainingRun
from xtra.device_copies import to_host
from xtra.replay.buffer import ReplayBuffer, Sample
from xtra.replay.window import Float
from xtra.rng import stream


@dataclass
class JointDraw:
    """The samples of updates `first`, `first + 1`, ... as they were drawn when the replay had so many rows.

    batch: all of them, `interleaved`. targets: after a restart its values `[B, K + 1]` and policies `[B, K + 1, A]`; a checkpoint
    has these alone, since frames can be read again.
    """

    first: int
    num_rows: int
    samples: list[Sample]
    batch: Batch | None = None
    targets: tuple[Float, Float] | None = None


class BatchDraws:
    """Draws the batches of updates, with the targets that the delayed network makes. What it draws follows from the seed, the
    replay and the update's number."""

    def __init__(self, config: EfficientZeroConfig, maker: TargetMaker, delayed: DelayedTarget, run: TrainingRun) -> None:
        self._config, self._maker, self._delayed, self._run = config, maker, delayed, run
        self._draw: JointDraw | None = None

    def take(self, replay: ReplayBuffer, update: int) -> tuple[Sample, Batch]:
        """Returns the sample of update number `update` and its batch; draws first, unless that was done since the newest row."""
        draw = self._draw
        if draw is None or draw.num_rows != replay.num_rows or not 0 <= update - draw.first < len(draw.samples):
            draw = self._draw_from(replay, update)
        if draw.batch is None:
            assert draw.targets is not None
            draw.batch = self._maker.with_targets(replay, interleaved(draw.samples), *draw.targets, draw.first)
        place, count = update - draw.first, len(draw.samples)
        self._draw = draw if place + 1 < count else None
        return draw.samples[place], take_every(draw.batch, place, count)

    def state(self) -> dict[str, Any]:
        """Returns the draw that batches are left of, without its frames; nothing if there is none."""
        if self._draw is None:
            return {}
        draw, targets = self._draw, self._draw.targets
        if targets is None:
            assert draw.batch is not None
            values, policies = to_host(torch.as_tensor(draw.batch.values), torch.as_tensor(draw.batch.policies))
            targets = values, policies
        return {**vars(draw), "samples": [vars(sample) for sample in draw.samples], "targets": targets, "batch": None}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Sets what `state` returned."""
        self._draw = JointDraw(**{**state, "samples": [Sample(**sample) for sample in state["samples"]]}) if state else None

    def _draw_from(self, replay: ReplayBuffer, update: int) -> JointDraw:
        """Draws the samples of `update` and of those after it, and makes their targets in one go."""
        config, samples = self._config, []
        interval = config.targets.target_update_interval
        count = max(1, min(config.targets.batches_at_once, interval - update % interval, self._run.num_updates - update))
        for each in range(update, update + count):
            rng, exponent = stream(self._run.seed, "replay", each), config.replay.importance_exponent(each, self._run.num_updates)
            samples.append(replay.sample(config.optimizer.batch_size, rng, exponent))
        batch = self._maker.make(replay, interleaved(samples), self._delayed.network, update)
        return JointDraw(update, replay.num_rows, samples, batch)


def interleaved(samples: Sequence[Sample]) -> Sample:
    """Joins samples of B transitions each: the first of each, then the second of each, and so on, so that the first share of all
    is the first share of each."""
    return Sample(*(np.stack(arrays, axis=1).ravel() for arrays in zip(*(vars(one).values() for one in samples), strict=True)))
