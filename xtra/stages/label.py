"""Stage `label`: what a teacher says of every observation of its dataset."""

from __future__ import annotations

import json

import numpy as np

from xtra.agents.device import prepare_torch
from xtra.agents.efficientzero.agent import make_network
from xtra.agents.efficientzero.planning import Planner
from xtra.agents.factory import load_weights
from xtra.protocol.games import GAMES
from xtra.replay.offline import OfflineData
from xtra.stages.config import LabelConfig
from xtra.stages.context import StageContext
from xtra.transfer.labels import make_labels, mean_entropy


def run(config: LabelConfig, context: StageContext) -> None:
    """Inputs `dataset` and `teacher`. Leaves labels.npz, a row per transition, and summary.json."""
    device = prepare_torch(config.num_threads)
    (dataset,), (teacher,) = context.inputs["dataset"], context.inputs["teacher"]
    network = make_network(config.agent.network, config.environment.frame_size, config.seed, device)
    network.load_state_dict(load_weights(teacher, device))
    planner = Planner(config.agent.search, GAMES[config.environment.game].action_ids, config.seed, config.num_threads)
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
