"""Stage `label`: a teacher's policy and value for every observation of its dataset (Xu et al., 2023, section 3)."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from xtra.agents.device import prepare_torch
from xtra.agents.efficientzero.agent import make_network
from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.agents.efficientzero.planning import Planner
from xtra.agents.factory import load_weights
from xtra.agents.observation import to_observations
from xtra.protocol.games import NUM_ACTIONS, ActionSpace
from xtra.replay.buffer import ReplayBuffer
from xtra.replay.offline import OfflineData
from xtra.stages.config import LabelConfig
from xtra.stages.context import StageContext
from xtra.transfer.config import TeacherPolicy
from xtra.transfer.tasks import Labels

BATCH_SIZE = 256
"""Observations labelled at a time."""


def run(config: LabelConfig, context: StageContext) -> None:
    """Inputs: `dataset` and `teacher`. Leaves labels.npz, one row per transition, and summary.json."""
    device = prepare_torch(config.num_threads)
    (dataset,), (teacher,) = context.inputs["dataset"], context.inputs["teacher"]
    network = make_network(config.agent.network, config.environment.frame_size, config.seed, device)
    network.load_state_dict(load_weights(teacher, device))
    planner = Planner(config.agent.search, ActionSpace.of("ale18", config.environment.game), config.seed, config.num_threads)
    data = OfflineData.open(dataset)
    total = data.num_transitions
    labels = make_labels(
        network,
        planner,
        data.replay(config.agent.replay, window=0),
        config.policy,
        progress=lambda done: context.telemetry.progress(done, total, "transitions"),
    )
    labels.save(context.out)
    summary = {
        "num_transitions": total,
        "mean_entropy": mean_entropy(labels.teacher_policies),
        "mean_value": float(labels.teacher_values.mean(dtype=np.float64)),
        "action_agreement": float((labels.teacher_policies.argmax(1) == data.steps.actions).mean()),
    }
    (context.out / "summary.json").write_text(json.dumps(summary))
    context.telemetry.progress(total, total, "transitions", force=True)


@torch.no_grad()
def make_labels(
    network: EfficientZeroNetwork,
    planner: Planner,
    replay: ReplayBuffer,
    policy: TeacherPolicy,
    progress: Callable[[int], None] = lambda done: None,
) -> Labels:
    """Labels every transition of a replay of one environment. progress: called per batch with the transitions done so far.

    policy: the network's own over the planner's actions, or the visits of a search without noise. The value is the network's in
    both cases, so that the policies are the only difference.
    """
    network.eval()
    device = next(network.parameters()).device
    policies = np.zeros((replay.num_rows, NUM_ACTIONS), np.float32)
    values = np.zeros(replay.num_rows, np.float32)
    valid = np.array(planner.space.valid)
    for start in range(0, replay.num_rows, BATCH_SIZE):
        rows = np.arange(start, min(start + BATCH_SIZE, replay.num_rows))
        stacks = replay.stacks(rows, np.zeros_like(rows), network.config.frame_stack)
        observations = to_observations(stacks, device)
        if policy == "search":
            result = planner.exploit(network, observations)
            output, policies[rows] = result.root_output, result.action_weights.cpu().numpy()
        else:
            output = network.initial_inference(observations)
            policies[np.ix_(rows, valid)] = output.policy_logits[:, planner.space.valid].softmax(-1).cpu().numpy()
        values[rows] = output.value.cpu().numpy()
        progress(start + len(rows))
    return Labels(policies, values)


def mean_entropy(policies: NDArray[np.float32]) -> float:
    """Returns the mean entropy, in nats, of policies `[T, A]`."""
    logs = np.log(policies, out=np.zeros_like(policies), where=policies > 0)
    return float(-(policies * logs).sum(1, dtype=np.float64).mean())
