"""EfficientZero's learner of this repository, or of an older checkout of it, as a contestant of `turns.py`."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from contestant import load_play, serve

from xtra.agents import interface
from xtra.agents.efficientzero import network
from xtra.agents.efficientzero.agent import EfficientZeroLearner
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.envs.config import EnvironmentConfig
from xtra.protocol.games import NUM_ACTIONS
from xtra.replay.buffer import ReplayBuffer

NUM_UPDATES = 100_000
"""Of the run that these updates pretend to be in; it sets how far importance weights are corrected."""

try:
    from xtra.agents.interface import prepare_torch
except ImportError:  # an older checkout
    from xtra.agents.device import prepare_torch

# Before 0.2 the dynamics' one module held it all, and only the search called it as a module.
DYNAMICS = ("ActionConv2d", "ActionTable") if hasattr(network, "ActionConv2d") else ("Dynamics",)
PARTS = {"Representation": "representation", "Prediction": "prediction", **dict.fromkeys(DYNAMICS, "dynamics")}


class OurUpdates:
    """The learner with its replay. A checkout of before version 0.2 will do, whose names were others."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.parts, size = PARTS, request["size"]
        play = load_play(request["play"], size["frame_size"])
        environment = EnvironmentConfig(game=str(play["game"]), frame_size=size["frame_size"])
        for setting in request.get("settings", []):
            change(size["agent"], setting)
        run_class = interface.TrainingRun if hasattr(interface, "TrainingRun") else interface.Run
        run = run_class(NUM_UPDATES, NUM_UPDATES, 0, 1, prepare_torch(1))
        self._learner = EfficientZeroLearner(EfficientZeroConfig.model_validate(size["agent"]), environment, run)
        self._replay = fill(self._learner, play)
        self._made = 0

    def update(self) -> dict[str, float]:
        metrics = self._learner.update(self._replay, self._made)
        self._made += 1
        return metrics

    def about(self) -> dict[str, Any]:
        parameters = sum(parameter.numel() for parameter in self._learner._network.parameters())
        return {"parameters": parameters, "transitions": len(self._replay), "torch": torch.__version__, "numpy": np.__version__}


def change(agent: dict[str, Any], setting: str) -> None:
    """Sets one of the agent's fields as `optimizer.method=adam` says."""
    path, _, value = setting.partition("=")
    *blocks, name = path.split(".")
    for block in blocks:
        agent = agent.setdefault(block, {})
    try:
        agent[name] = json.loads(value)
    except ValueError:
        agent[name] = value  # a name, without its quotes


def fill(learner: EfficientZeroLearner, play: dict[str, Any]) -> ReplayBuffer:
    """Makes the learner's replay of one environment and plays all transitions into it."""
    frames, final_frames = play["frames"], iter(play["final_frames"])
    replay = learner.make_replay(1, frames.shape[1:], len(frames))
    policies, values = np.full((1, NUM_ACTIONS), 1 / NUM_ACTIONS, np.float32), np.zeros(1, np.float32)
    for row in range(len(frames)):
        now = slice(row, row + 1)
        step = [frames[now], play["actions"][now], play["rewards"][now], play["ends"][now], policies, values]
        if play["ends"][row] and hasattr(replay, "final_frames"):
            step.append(next(final_frames)[None])
        replay.append(*step)
    return replay


if __name__ == "__main__":
    serve(OurUpdates)
