"""What a teacher says of each observation of a dataset: its policy and its value (facts: paper section 3)."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.agents.efficientzero.planning import Planner
from xtra.agents.observation import to_observations
from xtra.protocol.games import NUM_ACTIONS
from xtra.replay.buffer import ReplayBuffer
from xtra.store.errors import DamagedError
from xtra.transfer.config import TeacherPolicy

LABELS_FILE = "labels.npz"
BATCH_SIZE = 256
"""Observations labelled at a time."""


@dataclass(frozen=True)
class Labels:
    """Of T transitions. teacher_policies: `[T, 18]`, 0 on actions that the game does not understand. teacher_values: `[T]`."""

    teacher_policies: NDArray[np.float32]
    teacher_values: NDArray[np.float32]

    def save(self, directory: Path) -> None:
        """Equal labels give equal bytes."""
        np.savez(directory / LABELS_FILE, teacher_policies=self.teacher_policies, teacher_values=self.teacher_values)

    @staticmethod
    def load(directory: Path) -> Labels:
        """Raises DamagedError where the file is missing or is none of ours."""
        path = directory / LABELS_FILE
        try:
            with path.open("rb") as file, np.load(file) as arrays:
                return Labels(arrays["teacher_policies"], arrays["teacher_values"])
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise DamagedError(path, f"it cannot be read as labels: {error}") from error


@torch.no_grad()
def make_labels(
    network: EfficientZeroNetwork,
    planner: Planner,
    replay: ReplayBuffer,
    policy: TeacherPolicy,
    progress: Callable[[int], None] = lambda done: None,
) -> Labels:
    """The teacher's labels of every transition of a replay of one environment. progress(transitions labelled) is called per
    batch.

    policy: the network's, over the planner's actions alone; or the visits of a search without noise. The value is the network's
    in both cases, so that the choice of policies is the one thing that differs.
    """
    network.eval()
    device = next(network.parameters()).device
    policies = np.zeros((replay.num_rows, NUM_ACTIONS), np.float32)
    values = np.zeros(replay.num_rows, np.float32)
    valid = np.array(planner.action_ids)
    for start in range(0, replay.num_rows, BATCH_SIZE):
        rows = np.arange(start, min(start + BATCH_SIZE, replay.num_rows))
        stacks = replay.stacks(rows, np.zeros_like(rows), network.config.frame_stack)
        observations = to_observations(stacks, device)
        if policy == "search":
            result = planner.exploit(network, observations)
            output, policies[rows] = result.root_output, result.action_weights.cpu().numpy()
        else:
            output = network.initial_inference(observations)
            policies[np.ix_(rows, valid)] = output.policy_logits[:, planner.action_ids].softmax(-1).cpu().numpy()
        values[rows] = output.value.cpu().numpy()
        progress(start + len(rows))
    return Labels(policies, values)


def mean_entropy(policies: NDArray[np.float32]) -> float:
    """In nats, of policies `[T, A]`."""
    logs = np.log(policies, out=np.zeros_like(policies), where=policies > 0)
    return float(-(policies * logs).sum(1, dtype=np.float64).mean())
