"""Stage `label`: a teacher's policy and value for every observation of its dataset (Xu et al., 2023, section 3)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xtra.agents.efficientzero.agent import make_network
from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.agents.efficientzero.planning import Planner
from xtra.agents.interface import load_weights, prepare_torch
from xtra.agents.observation import to_observations
from xtra.protocol.games import NUM_ACTIONS, ActionSpace
from xtra.replay.buffer import ReplayBuffer
from xtra.replay.offline import OfflineData
from xtra.stages.config import LabelConfig
from xtra.stages.context import StageContext
from xtra.stages.resumable import complete
from xtra.transfer.config import TeacherPolicy
from xtra.transfer.tasks import Labels

BATCH_SIZE = 256
"""Observations labelled at a time."""


def run(config: LabelConfig, context: StageContext) -> None:
    """Labels the observations of input `dataset` with the network of input `teacher`. Leaves labels.npz, one row per transition,
    and summary.json."""
    device = prepare_torch(config.num_threads)
    (dataset,), (teacher,) = context.inputs["dataset"], context.inputs["teacher"]
    network = make_network(config.agent.network, config.environment.frame_size, config.seed, device)
    network.load_state_dict(load_weights(teacher, device))
    data = OfflineData.open(dataset)
    # Where a job goes on with the last batch, its search on a GPU has the shape of the others all the same.
    most_rows = min(BATCH_SIZE, data.num_transitions)
    space = ActionSpace.of("ale18", config.environment.game)
    planner = Planner(config.agent.search, space, config.seed, config.num_threads, most_rows)
    complete(Labelling(network, planner, data, config, context), context)


class Labelling:
    """The labels of a dataset as resumable work: a move labels one batch."""

    def __init__(
        self, network: EfficientZeroNetwork, planner: Planner, data: OfflineData, config: LabelConfig, context: StageContext
    ) -> None:
        self._network, self._planner, self._data = network, planner, data
        self._replay = data.replay(config.agent.replay, window=0)
        self._policy, self._context = config.policy, context
        total = data.num_transitions
        self._labels = Labels(np.zeros((total, NUM_ACTIONS), np.float32), np.zeros(total, np.float32))
        self._done = 0

    def move(self) -> bool:
        """Labels a batch; False when every transition has its label."""
        rows = np.arange(self._done, min(self._done + BATCH_SIZE, self._data.num_transitions))
        if not len(rows):
            return False
        labels = make_labels(self._network, self._planner, self._replay, self._policy, rows)
        self._labels.teacher_policies[rows], self._labels.teacher_values[rows] = labels.teacher_policies, labels.teacher_values
        self._done += len(rows)
        self._progress()
        return True

    def checkpoint_due(self) -> bool:
        """Returns False: time alone decides."""
        return False

    def position(self) -> str:
        """Describes how many transitions have a label."""
        return f"{self._done:,} transitions"

    def state(self) -> dict[str, Any]:
        """Returns the labels made so far."""
        labels = self._labels
        return {"policies": labels.teacher_policies[: self._done], "values": labels.teacher_values[: self._done]}

    def restore(self, state: dict[str, Any]) -> None:
        """Sets what `state` returned."""
        self._done = len(state["values"])
        self._labels.teacher_policies[: self._done] = state["policies"]
        self._labels.teacher_values[: self._done] = state["values"]

    def save_outputs(self) -> None:
        """Saves the labels, and a summary of them."""
        labels, out = self._labels, self._context.out
        labels.save(out)
        summary = {
            "num_transitions": self._data.num_transitions,
            "mean_entropy": mean_entropy(labels.teacher_policies),
            "mean_value": float(labels.teacher_values.mean(dtype=np.float64)),
            "action_agreement": float((labels.teacher_policies.argmax(1) == self._data.steps.actions).mean()),
        }
        (out / "summary.json").write_text(json.dumps(summary))
        self._progress(force=True)

    def _progress(self, *, force: bool = False) -> None:
        self._context.telemetry.progress(self._done, self._data.num_transitions, "transitions", force=force)


@torch.no_grad()
def make_labels(
    network: EfficientZeroNetwork, planner: Planner, replay: ReplayBuffer, policy: TeacherPolicy, rows: NDArray[np.int64]
) -> Labels:
    """Labels the transitions `rows` `[T]` of a replay of one environment.

    policy: the network's, over the planner's actions alone; or the visits of a search without noise. The value is the network's
    in both cases, so that the choice of policies is the one thing that differs.
    """
    network.eval()
    policies = np.zeros((len(rows), NUM_ACTIONS), np.float32)
    stacks = replay.stacks(rows, np.zeros_like(rows), network.config.frame_stack)
    observations = to_observations(stacks, next(network.parameters()).device)
    if policy == "search":
        result = planner.exploit(network, observations)
        output, policies[:] = result.root_output, result.action_weights.cpu().numpy()
    else:
        output = network.initial_inference(observations)
        policies[:, planner.space.valid] = output.policy_logits[:, planner.space.valid].softmax(-1).cpu().numpy()
    return Labels(policies, output.value.cpu().numpy())


def mean_entropy(policies: NDArray[np.float32]) -> float:
    """Returns the mean entropy, in nats, of policies `[T, A]`."""
    logs = np.log(policies, out=np.zeros_like(policies), where=policies > 0)
    return float(-(policies * logs).sum(1, dtype=np.float64).mean())
