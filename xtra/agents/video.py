"""An episode as an animated picture, played greedily: what the agent saw, the value it expected, its action."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from xtra.agents.efficientzero.agent import EfficientZeroPlayer
from xtra.agents.interface import Player
from xtra.envs.config import EnvironmentConfig
from xtra.envs.vector import FrameStacks, make_evaluation_environment
from xtra.protocol.games import ACTION_NAMES, Game, find_game

FORMATS = (".gif", ".png")
"""Pillow writes both animated; PNG is lossless and larger."""
PICTURE, PANEL, LINE = 320, 190, 15
"""Pixels: the game's least side, the width of what is written beside it, the height of a line."""
BACKGROUND, TEXT, BAR, CHOSEN = (20, 20, 24), (230, 230, 230), (86, 120, 160), (230, 150, 60)


@dataclass(frozen=True)
class Scene:
    """A decision. frame: `[H, W, C]`. value, action_weights (by action id): the search's, None without a search.

    episode_return: raw, before the action.
    """

    frame: NDArray[np.uint8]
    action: int
    value: float | None
    action_weights: NDArray[np.float32] | None
    episode_return: float


def scenes(player: Player, environment: EnvironmentConfig, *, seed: int, max_episode_env_steps: int) -> Iterator[Scene]:
    """Yields the decisions of the first of the games that `play_episodes` plays from this seed."""
    game = make_evaluation_environment(environment, 1, seed, max_episode_env_steps)
    stacks = FrameStacks(game.reset(), player.frame_stack)
    episode_return = 0.0
    for env_step in range(max_episode_env_steps):
        value, weights = None, None
        if isinstance(player, EfficientZeroPlayer):
            result = player.search(stacks.stacks)
            value, weights = float(result.root_values[0]), np.zeros(find_game(environment.game).num_actions, np.float32)
            weights[list(player.space.ids)] = result.action_weights[0].cpu().numpy()
            actions = player.decide(result, env_step)
        else:
            actions = player.play(stacks.stacks, env_step)
        yield Scene(stacks.stacks[0, -1], int(actions[0]), value, weights, episode_return)
        step = game.step(actions)
        episode_return += float(step.rewards[0])
        if step.episode_end[0]:
            return
        stacks.push(step.frames, step.episode_end)


def write_video(path: Path, played: Iterator[Scene], game: str, frames_per_second: float) -> int:
    """Writes `path`, in the format of its suffix (one of `FORMATS`); returns the number of decisions shown."""
    scenes_shown = list(played)
    first = draw(scenes_shown[0], 0, find_game(game))
    duration = max(20, round(1000 / frames_per_second))  # viewers slow down what is faster
    rest = LaterPictures(scenes_shown, find_game(game))
    first.save(path, format=path.suffix[1:].upper(), save_all=True, append_images=rest, duration=duration, loop=0)
    return len(scenes_shown)


class LaterPictures:
    """All pictures after the first, drawn each time they are iterated over: Pillow writes a PNG in two passes."""

    def __init__(self, scenes_shown: Sequence[Scene], game: Game) -> None:
        self._shown, self._game = scenes_shown, game

    def __iter__(self) -> Iterator[Image.Image]:
        for env_step in range(1, len(self._shown)):
            yield draw(self._shown[env_step], env_step, self._game)


def draw(scene: Scene, env_step: int, game: Game) -> Image.Image:
    """Draws the frame, and beside it the value and a bar for the share of visits that each action got."""
    height, width, channels = scene.frame.shape
    scale = -(-PICTURE // min(height, width))
    frame = Image.fromarray(scene.frame if channels == 3 else scene.frame[:, :, 0]).convert("RGB")
    size = (width * scale + PANEL, max(height * scale, LINE * (len(game.action_ids) + 4)))
    picture = Image.new("RGB", size, BACKGROUND)
    picture.paste(frame.resize((width * scale, height * scale), Image.Resampling.NEAREST), (0, 0))
    pen, left = ImageDraw.Draw(picture), width * scale + 10
    value = "no search" if scene.value is None else f"value {scene.value:+.2f}"
    for line, text in enumerate((f"step {env_step}", f"return {scene.episode_return:g}", value)):
        pen.text((left, 5 + LINE * line), text, TEXT)
    for line, action in enumerate(game.action_ids, start=4):
        color = CHOSEN if action == scene.action else BAR
        top = LINE * line
        share = 0.0 if scene.action_weights is None else float(scene.action_weights[action])
        pen.rectangle((left + 100, top + 2, left + 100 + round(share * (PANEL - 120)), top + LINE - 3), fill=color)
        name = ACTION_NAMES[action] if game.speaks_ale else f"action {action}"
        pen.text((left, top), name, CHOSEN if action == scene.action else TEXT)
    return picture
