"""LightZero 0.2.0's EfficientZero learner as a contestant of `turns.py`: its policy and its game buffer, as its training loop
calls them. README.md says how to install it."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from contestant import load_play, serve

try:
    from easydict import EasyDict
    from lzero.mcts.buffer.game_buffer_efficientzero import EfficientZeroGameBuffer
    from lzero.mcts.buffer.game_segment import GameSegment
    from lzero.policy.efficientzero import EfficientZeroPolicy
except ImportError as error:
    sys.exit(f"LightZero is not installed for {sys.executable}: {error}; benchmarks/peers/README.md has the three commands")

NUM_ACTIONS = 18
SEGMENT_LENGTH = 400
"""Transitions of a game segment, as in its own configurations for Atari."""
PARTS = {"RepresentationNetwork": "representation", "DynamicsNetwork": "dynamics", "PredictionNetwork": "prediction"}
FRAME_SIZES = {64: 3, 96: 4}
"""The frames that its encoder takes, and how often it halves them."""


class LightZeroUpdates:
    """The policy with its buffer."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.parts = PARTS
        if request.get("settings"):
            raise ValueError(f"settings are of ours.py alone, not {', '.join(request['settings'])}")
        torch.set_num_threads(1)
        np.random.seed(0)
        torch.manual_seed(0)
        size = request["size"]
        play = load_play(request["play"], size["frame_size"])
        self._config = settings(size)
        self._policy = EfficientZeroPolicy(self._config, enable_field=["learn", "collect"])
        self._buffer = EfficientZeroGameBuffer(self._config)
        fill(self._buffer, play, self._config)

    def update(self) -> dict[str, float]:
        batch = self._buffer.sample(self._config.batch_size, self._policy)
        losses = self._policy.learn_mode.forward(batch)
        self._buffer.update_priority(batch, losses.pop("value_priority_orig").detach().numpy())
        return losses

    def about(self) -> dict[str, Any]:
        return {
            "parameters": sum(parameter.numel() for parameter in self._policy._model.parameters()),
            "transitions": self._buffer.get_num_of_transitions(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "LightZero": version("LightZero"),
            "DI-engine": version("DI-engine"),
        }


def settings(size: dict[str, Any]) -> EasyDict:
    """Returns LightZero's configuration of a size. Raises ValueError for a network that it cannot make."""
    agent = size["agent"]
    network, optimizer, targets = agent["network"], agent["optimizer"], agent["targets"]
    if FRAME_SIZES.get(size["frame_size"]) != network["num_halvings"]:
        raise ValueError(
            f"LightZero's encoder halves frames of 96 pixels four times and of 64 three times; asked for are "
            f"{size['frame_size']} pixels, halved {network['num_halvings']} times"
        )
    bins, hidden = 2 * network["support"] + 1, [network["head_hidden"]]
    model = {
        "observation_shape": (12, size["frame_size"], size["frame_size"]),
        "image_channel": 3,
        "frame_stack_num": 4,
        "action_space_size": NUM_ACTIONS,
        "downsample": True,
        "discrete_action_encoding_type": "not_one_hot",
        "num_res_blocks": 1,
        "num_channels": network["channels"],
        **{f"{head}_head_channels": network["head_channels"] for head in ("reward", "value", "policy")},
        **{f"{head}_head_hidden_channels": hidden for head in ("reward", "value", "policy")},
        "support_scale": network["support"],
        "reward_support_size": bins,
        "value_support_size": bins,
        "lstm_hidden_size": network["lstm_hidden"],
        "proj_hid": network["projection_hidden"],
        "proj_out": network["projection_size"],
        "pred_hid": network["predictor_hidden"],
        "pred_out": network["projection_size"],
    }
    config = EasyDict(EfficientZeroPolicy.default_config())
    config.model.update(model)
    config.update(
        cuda=False,
        device="cpu",
        batch_size=optimizer["batch_size"],
        learning_rate=optimizer["learning_rate"],
        use_augmentation=optimizer["augmentation"] != "none",
        num_unroll_steps=targets["num_unroll_steps"],
        td_steps=targets["td_steps"],
        target_update_freq=targets["target_update_interval"],
        num_simulations=agent["search"]["num_simulations"],
        discount_factor=agent["search"]["discount"],
        game_segment_length=SEGMENT_LENGTH,
        replay_buffer_size=1_000_000,
        reanalyze_ratio=targets["reanalyze_fraction"],
        use_priority=True,
        use_root_value=False,
    )
    return config


def fill(buffer: EfficientZeroGameBuffer, play: dict[str, Any], config: EasyDict) -> None:
    """Pushes all trajectories, cut into segments as LightZero's collector cuts them; frames are floats, as its Atari
    environments give them."""
    begin = 0
    for end, final_frame in zip(np.flatnonzero(play["ends"]) + 1, play["final_frames"], strict=True):
        frames = np.concatenate([play["frames"][begin:end], final_frame[None]]).transpose(0, 3, 1, 2).astype(np.float32) / 255
        rewards = np.sign(play["rewards"][begin:end])
        push_trajectory(buffer, frames, play["actions"][begin:end], rewards, config)
        begin = end


def push_trajectory(buffer: Any, frames: np.ndarray, actions: np.ndarray, rewards: np.ndarray, config: EasyDict) -> None:
    """Pushes one trajectory of frames `[T + 1, 3, S, S]`, actions `[T]` and rewards `[T]`. A segment is padded by what follows it
    in the next one."""
    stack, overlap = config.model.frame_stack_num, config.num_unroll_steps + config.td_steps
    padded = np.concatenate([frames[:1]] * (stack - 1) + [frames])
    uniform, length = [1.0] * NUM_ACTIONS, len(actions)
    for start in range(0, length, SEGMENT_LENGTH):
        stop = min(start + SEGMENT_LENGTH, length)
        segment = GameSegment(None, SEGMENT_LENGTH, config)
        segment.reset(padded[start : start + stack])
        for step in range(start, stop):
            segment.store_search_stats(uniform, 0.0)
            segment.append(actions[step], frames[step + 1], rewards[step], np.ones(NUM_ACTIONS, np.int8), -1)
        after = slice(stop, min(stop + overlap, length))
        count = after.stop - after.start
        observations = frames[stop + 1 : stop + 1 + count]
        visits = [[1 / NUM_ACTIONS] * NUM_ACTIONS] * count
        if count:
            segment.pad_over(observations, rewards[after][: overlap - 1], actions[after], [0.0] * count, visits)
        segment.game_segment_to_array()
        about = {"priorities": None, "done": stop == length, "unroll_plus_td_steps": overlap}
        buffer.push_game_segments(([segment], [about]))


if __name__ == "__main__":
    serve(LightZeroUpdates)
