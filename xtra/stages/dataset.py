"""Stage `dataset`: trajectories of a finished run, or of random play, as offline data in the view that its reader needs.

Another view than the run's (its frame size, its colours) is rendered by exact replay: the run's environments are made again and
take the run's actions; since an episode is (seed, actions), all rewards must come out equal, and that is checked.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from xtra.agents.evaluation import RandomPlayer
from xtra.envs.config import VIEW, EnvironmentConfig
from xtra.envs.vector import episode_seed, make_training_environment
from xtra.protocol.games import NUM_ACTIONS, find_game
from xtra.replay.buffer import ReplayBuffer
from xtra.replay.config import ReplayConfig
from xtra.replay.frames import BLOCK_FRAMES
from xtra.replay.offline import CARD, Transitions, card_text, seal, write_trajectories
from xtra.replay.recording import Recording, ReplayLog, SeenRow, Trajectory, recording_meta
from xtra.stages.config import DatasetConfig
from xtra.stages.context import StageContext
from xtra.store.provenance import package_version
from xtra.telemetry import Telemetry
from xtra.transfer.config import DataConfig

RECORDED_PACKAGES = ("xtra-bench", "numpy", "ale-py", "zstandard")
"""Their versions can change what is rendered or how it is stored."""
RANDOM_ENVS = 4
"""Environments of random play."""
RANDOM_ROWS = 250
"""Rows of random play held in memory at a time."""


def run(config: DatasetConfig, context: StageContext) -> None:
    """Makes a dataset of the run that is input `train`, or of random play where there is none. Leaves the files that
    `xtra.replay.offline` describes."""
    if "train" in context.inputs:
        recording = Recording(context.inputs["train"][0] / "replay")
    else:
        recording = _play_at_random(config, context)
    recorded = EnvironmentConfig.model_validate(recording.meta.environment)
    _check_course(recorded, config.environment)
    chosen = choose(recording.trajectories(), config.data)
    same_view = recorded == config.environment
    rows = recording.rows(_frame_shape(recorded)) if same_view else render(recording, config.environment)
    rows = _reporting(rows, chosen[-1].last + 1, context.telemetry)
    seeds = partial(episode_seed, recording.meta.seed, config.environment.game)
    steps = write_trajectories(context.out, recording, chosen, rows, seeds)
    meta = seal(context.out, _describe(config, recording, steps))
    (context.out / CARD).write_text(card_text(meta, steps), encoding="utf-8")


def choose(trajectories: Sequence[Trajectory], config: DataConfig) -> list[Trajectory]:
    """Returns whole trajectories, in the given order, until `config.transitions` are reached: from the beginning, backwards from
    the end, or spread evenly; all of them where they are fewer."""
    total = sum(trajectory.num_transitions for trajectory in trajectories)
    quota = total if config.transitions is None else min(config.transitions, total)
    # Spread evenly: of the first n transitions, quota / total x n are taken, rounded up to a whole trajectory.
    share = quota if config.part == "all" else total
    ordered = trajectories[::-1] if config.part == "late" else trajectories
    chosen, passed, taken = [], 0, 0
    for trajectory in ordered:
        passed += trajectory.num_transitions
        if taken < quota and taken * total < share * passed:
            chosen.append(trajectory)
            taken += trajectory.num_transitions
    return chosen[::-1] if config.part == "late" else chosen


def render(recording: Recording, view: EnvironmentConfig) -> Iterator[SeenRow]:
    """Yields the run's frames in another view, row by row. Raises ValueError where the game takes another course than in the
    run."""
    meta, columns = recording.meta, recording.columns
    environment = make_training_environment(view, meta.num_envs, meta.seed)
    starts = np.concatenate([columns["first"], [meta.open_rows]])
    frames = environment.reset()
    for row in range(meta.num_rows):
        step = environment.step(columns["actions"][row])
        played = step.rewards.tolist(), step.terminal.tolist()
        recorded = columns["rewards"][row].tolist(), (starts[row + 1] == row + 1).tolist()
        if played != recorded:
            raise ValueError(
                f"{view.game}, row {row}: played again with the same seed and actions, the game takes another course than in the "
                f"recorded run: rewards and ends {played}, recorded {recorded}; its emulator must be the run's"
            )
        yield SeenRow(frames, {env: step.final_frames[env] for env in np.flatnonzero(step.terminal).tolist()})
        frames = step.frames


def _play_at_random(config: DatasetConfig, context: StageContext) -> Recording:
    """Plays uniformly drawn valid actions for `config.env_steps`, recorded as a run is."""
    directory = context.work / "random-play"
    shutil.rmtree(directory, ignore_errors=True)  # of an interrupted attempt
    if config.env_steps is None:
        raise ValueError("random play needs env_steps")
    player = RandomPlayer(config.environment.game, config.seed)
    environment = make_training_environment(config.environment, RANDOM_ENVS, config.seed)
    policies = np.zeros((RANDOM_ENVS, NUM_ACTIONS), np.float32)
    policies[:, find_game(config.environment.game).action_ids] = 1 / len(find_game(config.environment.game).action_ids)
    replay = ReplayBuffer(
        ReplayConfig(), RANDOM_ENVS, _frame_shape(config.environment), NUM_ACTIONS, 0, RANDOM_ENVS * RANDOM_ROWS
    )
    log, episode_ends = ReplayLog(directory), []
    frames = environment.reset()
    num_rows = -(-config.env_steps // RANDOM_ENVS)
    for row in range(num_rows):
        actions = player.play(frames[:, None], row)
        step = environment.step(actions)
        values = np.zeros(RANDOM_ENVS, np.float32)
        replay.append(frames, actions, step.rewards, step.terminal, policies, values, step.final_frames)
        episode_ends += [(row, env) for env in np.flatnonzero(step.episode_end).tolist()]
        if replay.num_rows % RANDOM_ROWS == 0:
            log.extend(replay)
        frames = step.frames
        context.telemetry.progress(row, num_rows, "rows played")
    log.extend(replay)
    recording_meta(replay, config.environment, config.seed, episode_ends).save(directory)
    return Recording(directory)


def _check_course(recorded: EnvironmentConfig, view: EnvironmentConfig) -> None:
    """Raises ValueError where a view differs from the recorded run in more than the game's looks."""
    of_run, of_view = recorded.model_dump(), view.model_dump()
    for name in of_run:
        if name not in VIEW and of_run[name] != of_view[name]:
            raise ValueError(
                f"environment.{name} is {of_view[name]!r}, but the source run played with {of_run[name]!r}: a dataset can show "
                f"its run in another view ({', '.join(VIEW)}), not play another game"
            )


def _describe(config: DatasetConfig, recording: Recording, steps: Transitions) -> dict[str, Any]:
    source = recording.meta
    starts = np.unique(steps.first)
    return {
        "environment": config.environment.model_dump(mode="json"),
        "frame_shape": _frame_shape(config.environment),
        "block_frames": BLOCK_FRAMES,
        "data": config.data.model_dump(mode="json"),
        "source": {
            "policy": config.data.policy,
            "seed": source.seed,
            "num_envs": source.num_envs,
            "env_steps": source.num_rows * source.num_envs,
            "rendered": source.environment != config.environment.model_dump(mode="json"),
        },
        "counts": {
            "transitions": len(steps.first),
            "trajectories": len(starts),
            "incomplete": int((~steps.complete[starts]).sum()),
            "episodes": len(np.unique(steps.episodes)),
        },
        "versions": {name: package_version(name) for name in RECORDED_PACKAGES},
    }


def _frame_shape(environment: EnvironmentConfig) -> tuple[int, int, int]:
    return environment.frame_size, environment.frame_size, 3 if environment.color == "rgb" else 1


def _reporting(rows: Iterator[SeenRow], total: int, telemetry: Telemetry) -> Iterator[SeenRow]:
    for number, row in enumerate(rows):
        telemetry.progress(number, total, "rows")
        yield row
