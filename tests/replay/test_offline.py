"""A dataset reads as a replay: windows that are known are sampled, frames come back bit for bit, damage is told."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from xtra.config import Config
from xtra.replay import offline
from xtra.replay.buffer import ReplayBuffer
from xtra.replay.config import ReplayConfig
from xtra.replay.frames import BlockFrames
from xtra.replay.offline import OfflineData, seal, write_trajectories
from xtra.replay.recording import Recording, ReplayLog, recording_meta
from xtra.store.files import DamagedError

ROWS, ENVS, A = 50, 2, 18
SHAPE = (4, 4, 3)
ENDS = {(9, 0), (30, 0), (4, 1), (49, 1)}
"""Where trajectories end. Environment 0 is cut by the end of the run in a trajectory of rows 31 to 49; 1 ends with it."""


class Game(Config):
    """Stands for an environment's configuration."""

    game: str = "Catch"


def frame(row: int, env: int) -> NDArray[np.uint8]:
    return np.random.default_rng([row, env]).integers(256, size=SHAPE, dtype=np.uint8)


def final_frame(row: int, env: int) -> NDArray[np.uint8]:
    return frame(row + 1000, env)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hand-made run and its dataset: actions tell the row, rewards the environment, every trajectory is an episode."""
    run, out = tmp_path_factory.mktemp("run"), tmp_path_factory.mktemp("dataset")
    replay, log = ReplayBuffer(ReplayConfig(), ENVS, SHAPE, A, 0, 20), ReplayLog(run)
    for row in range(ROWS):
        frames = np.stack([frame(row, env) for env in range(ENVS)])
        terminal = np.array([(row, env) in ENDS for env in range(ENVS)])
        policies = np.full((ENVS, A), row, np.float32)
        replay.append(
            frames,
            np.full(ENVS, row),
            np.arange(ENVS, dtype=np.float32),
            terminal,
            policies,
            np.zeros(ENVS, np.float32),
            np.stack([final_frame(row, env) for env in range(ENVS)]),
        )
        if row % 7 == 6:
            log.extend(replay)
    log.extend(replay)
    recording_meta(replay, Game(), 3, sorted(ENDS)).save(run)
    recording = Recording(run)
    chosen = recording.trajectories()
    write_trajectories(out, recording, chosen, recording.rows(SHAPE), lambda env, episode: 100 * env + episode)
    seal(out, {"environment": {"game": "Catch"}, "frame_shape": SHAPE})
    return out


ORDER = [(row, 1) for row in range(5)] + [(row, 0) for row in range(10)] + [(row, 0) for row in range(10, 31)]
ORDER += [(row, 0) for row in range(31, 50)] + [(row, 1) for row in range(5, 50)]
"""(row, environment) of each transition: trajectories in the order of their ends."""
CUT = range(36, 55)
"""The transitions of the trajectory that has no end."""


def test_trajectories_lie_one_after_another_in_the_order_in_which_they_ended(directory: Path) -> None:
    data = OfflineData.open(directory)
    assert data.game == "Catch" and data.num_transitions == 100
    assert list(zip(data.steps.actions.tolist(), data.steps.rewards.tolist(), strict=True)) == ORDER
    assert data.steps.first.tolist() == [0] * 5 + [5] * 10 + [15] * 21 + [36] * 19 + [55] * 45
    assert data.steps.last.tolist() == [4] * 5 + [14] * 10 + [35] * 21 + [54] * 19 + [99] * 45
    assert np.flatnonzero(~data.steps.complete).tolist() == list(CUT)
    assert data.episodes.seeds.tolist() == [100, 0, 1, 2, 101]
    assert data.episodes.actions[data.episodes.starts[2] : data.episodes.starts[3]].tolist() == list(range(10, 31))


@pytest.mark.parametrize("alpha", [0.0, 0.6])
@pytest.mark.parametrize("window", [1, 6, 18, 19, 40])
def test_the_last_window_of_a_trajectory_that_was_cut_is_never_sampled(directory: Path, window: int, alpha: float) -> None:
    replay = OfflineData.open(directory).replay(ReplayConfig(priority_exponent=alpha, capacity=10), window)
    sample = replay.sample(5_000, np.random.default_rng(0), 1.0)
    drawn = set(sample.rows.tolist())
    assert drawn == set(range(100)) - set(CUT[-window:])
    assert (sample.envs == 0).all() and (sample.weights == 1.0).all()
    # Whatever training then says of the transitions that were drawn, the others stay unknown.
    replay.update_priorities(sample, np.zeros(5_000))
    assert set(replay.sample(5_000, np.random.default_rng(1), 1.0).rows.tolist()) == drawn


def test_what_was_seen_after_each_last_action_comes_along_and_nothing_else_does(directory: Path) -> None:
    final_frames = OfflineData.open(directory).replay(ReplayConfig(), 3).final_frames
    assert final_frames.known(np.arange(100), np.zeros(100, np.int64)).nonzero()[0].tolist() == [4, 14, 35, 99]
    kept = final_frames.read(np.array([4, 99, 14, 99, 35]), np.zeros(5, np.int64))
    assert np.array_equal(kept, np.stack([final_frame(*ORDER[place]) for place in (4, 99, 14, 99, 35)]))


@pytest.mark.parametrize(("memory_gb", "frames_at_a_time"), [(0.0, 1024), (1.0, 1024), (1.0, 7)])
def test_stacks_are_the_same_whether_frames_are_raw_or_compressed(
    directory: Path, memory_gb: float, frames_at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offline, "FILL_FRAMES", frames_at_a_time)
    replay = OfflineData.open(directory).replay(ReplayConfig(frame_memory_gb=memory_gb), 3)
    rows = np.arange(100)
    stacks = replay.stacks(rows, np.zeros(100, np.int64), 4)
    first = np.array([0] * 5 + [5] * 10 + [15] * 21 + [36] * 19 + [55] * 45)
    for back in range(4):
        expected = np.stack([frame(*ORDER[place]) for place in np.maximum(rows - back, first)])
        assert np.array_equal(stacks[:, 3 - back], expected)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(shape=st.lists(st.integers(0, 6), max_size=3), seed=st.integers(0, 99))
def test_any_frames_may_be_asked_for_in_any_order(directory: Path, shape: list[int], seed: int) -> None:
    rows = np.random.default_rng(seed).integers(100, size=shape)
    read = OfflineData.open(directory).frames(0.0).read(rows, np.zeros_like(rows))
    assert read.shape == (*shape, *SHAPE)
    for row, found in zip(rows.ravel().tolist(), read.reshape(rows.size, *SHAPE), strict=True):
        assert np.array_equal(found, frame(*ORDER[row]))


def test_several_threads_may_read_at_once(directory: Path) -> None:
    frames = OfflineData.open(directory).frames(0.0)
    assert isinstance(frames, BlockFrames)
    every = np.stack([frame(*place) for place in ORDER])

    def reads_rightly(seed: int) -> bool:
        rows = np.random.default_rng(seed).integers(100, size=(20, 5))
        return all(np.array_equal(frames.read(rows, np.zeros_like(rows)), every[rows]) for _ in range(10))

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(reads_rightly, range(40)))


@pytest.mark.parametrize("name", ["frames.zst", "offsets.npy", "final_frames.npz", "steps.npz", "episodes.npz"])
def test_a_damaged_or_missing_file_is_named(directory: Path, tmp_path: Path, name: str) -> None:
    for path in directory.iterdir():
        data = bytearray(path.read_bytes())
        data[-1] ^= path.name == name
        (tmp_path / path.name).write_bytes(data)
    with pytest.raises(DamagedError, match=rf"{name}: its bytes are not"):
        OfflineData.open(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(DamagedError, match=rf"{name}: it is missing"):
        OfflineData.open(tmp_path)


@pytest.mark.parametrize(("text", "fault"), [(None, "cannot be read"), ("{", "cannot be read"), ("{}", "schema_version is None")])
def test_a_description_that_cannot_be_read_is_told(tmp_path: Path, text: str | None, fault: str) -> None:
    if text is not None:
        (tmp_path / "meta.json").write_text(text)
    with pytest.raises(DamagedError, match=rf"meta\.json: .*{fault}"):
        OfflineData.open(tmp_path)
