"""The replay holds what was put in, gives it back whole, and samples as prioritised replay says."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xtra.replay.buffer import FAN_OUT, OPEN, ReplayBuffer, Sample, SumTree
from xtra.replay.config import ReplayConfig
from xtra.replay.frames import CompressedFrames, RawFrames
from xtra.replay.recording import ReplayLog
from xtra.replay.window import Window
from xtra.store.files import DamagedError

A = 4


def make(num_envs: int = 1, window: int = 2, expected: int = 100, **settings: float) -> ReplayBuffer:
    return ReplayBuffer(ReplayConfig(**settings), num_envs, (2, 2, 3), A, window, expected)


def add(replay: ReplayBuffer, terminal: list[bool] | None = None) -> None:
    """Frames, actions and rewards all tell the row they were added in."""
    n, row = replay.num_envs, replay.num_rows
    frames = np.full((n, 2, 2, 3), row % 251, np.uint8)
    ends = np.array(terminal if terminal is not None else [False] * n)
    replay.append(
        frames, np.full(n, row), np.full(n, row, np.float32), ends, np.zeros((n, A), np.float32), np.zeros(n, np.float32)
    )


def sampled_rows(replay: ReplayBuffer, draws: int = 400) -> set[tuple[int, int]]:
    sample = replay.sample(draws, np.random.default_rng(0), 1.0)
    return set(zip(sample.rows.tolist(), sample.envs.tolist(), strict=True))


def test_a_transition_can_be_sampled_once_its_window_is_filled_or_its_trajectory_has_ended() -> None:
    replay = make(num_envs=2, window=2)
    add(replay)
    add(replay)
    with pytest.raises(ValueError, match="no transition"):
        replay.sample(1, np.random.default_rng(0), 1.0)
    add(replay, [False, True])
    # Environment 0: only row 0 sees two rows ahead. Environment 1: all three rows, its trajectory is over.
    assert sampled_rows(replay) == {(0, 0), (0, 1), (1, 1), (2, 1)}


def test_stacks_repeat_the_first_frame_of_a_trajectory_and_never_cross_into_the_one_before() -> None:
    replay = make()
    for row in range(6):
        add(replay, [row == 2])
    stacks = replay.stacks(np.array([0, 1, 2, 3, 4, 5]), np.zeros(6, np.int64), 3)[:, :, 0, 0, 0]
    assert stacks.tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 2], [3, 3, 3], [3, 3, 4], [3, 4, 5]]


def test_frames_that_a_full_ring_has_overwritten_are_in_no_stack() -> None:
    """A trajectory longer than the table: the oldest frame that is held stands in for those before it."""
    replay = make(expected=5)
    for _ in range(8):
        add(replay)
    assert replay.oldest_row == 3
    rows, envs = np.array([3, 4, 7]), np.zeros(3, np.int64)
    assert replay.stacks(rows, envs, 3)[..., 0, 0, 0].tolist() == [[3, 3, 3], [3, 3, 4], [5, 6, 7]]
    window = Window(replay, Sample(rows, envs, np.ones(3, np.float32)), 2)
    assert window.frames(3, 1)[..., 0, 0, 0].tolist() == [[3, 3, 3, 4], [3, 3, 4, 5], [5, 6, 7, 7]]


def test_sampling_frequencies_and_weights_follow_the_priorities() -> None:
    replay = make(window=1, priority_exponent=0.5)
    for _ in range(5):
        add(replay)
    every = replay.sample(4, np.random.default_rng(0), 1.0)
    places = type(every)(np.arange(4), np.zeros(4, np.int64), np.ones(4, np.float32))
    replay.update_priorities(places, np.array([0.0, 1.0, 4.0, 9.0]))
    sample = replay.sample(60_000, np.random.default_rng(1), 1.0)
    frequency = np.bincount(sample.rows, minlength=4) / 60_000
    # alpha 1/2: probabilities 0.001 : 1 : 2 : 3 (the epsilon of 1e-6 under the root is 0.001).
    expected = np.array([0.001, 1, 2, 3]) / 6.001
    assert (np.abs(frequency - expected) < 3 * np.sqrt(expected / 60_000) + 1e-9).all()
    # beta 1: weight = 1 / (N p), divided by the batch's largest, so proportional to 1 / p.
    weights = dict(zip(sample.rows.tolist(), sample.weights.tolist(), strict=True))
    assert weights[1] / weights[3] == pytest.approx(3.0, rel=1e-3)
    assert max(sample.weights) == 1.0


@pytest.mark.parametrize("alpha", [0.0, 0.6])
def test_a_transition_of_priority_zero_is_never_drawn_even_when_sampling_is_uniform(alpha: float) -> None:
    replay = make(window=1, priority_exponent=alpha)
    for _ in range(5):
        add(replay)
    replay.priorities[1:3] = 0.0
    assert sampled_rows(replay) == {(0, 0), (3, 0)}


def test_new_transitions_are_as_urgent_as_the_most_urgent_one() -> None:
    replay = make(window=1)
    add(replay)
    add(replay)
    replay.update_priorities(replay.sample(1, np.random.default_rng(0), 1.0), np.array([7.0]))
    add(replay)
    assert replay.priorities[2, 0] == pytest.approx(7.0, abs=1e-5)


def test_the_oldest_rows_make_room_and_what_remains_is_intact() -> None:
    replay = make(window=1, expected=10_000, capacity=20)
    for row in range(75):
        add(replay, [row % 7 == 6])
    assert len(replay) == 20
    rows = np.arange(replay.oldest_row, 75)
    slots = replay.slots(rows)
    assert (replay.actions[slots, 0] == rows).all()
    ended = rows < 70
    assert (replay.last[slots, 0][ended] == rows[ended] // 7 * 7 + 6).all()
    assert (replay.last[slots, 0][~ended] == OPEN).all()
    stacks = replay.stacks(rows, np.zeros(20, np.int64), 4)[..., 0, 0, 0]
    oldest = np.maximum(rows[:, None] + np.arange(-3, 1), np.maximum(rows // 7 * 7, replay.oldest_row)[:, None])
    assert (stacks == oldest).all()


@settings(max_examples=25)
@given(
    ends=st.lists(st.lists(st.booleans(), min_size=2, max_size=2), min_size=1, max_size=60),
    stop=st.integers(0, 60),
    compressed=st.booleans(),
    capacity=st.sampled_from([60, 1000]),
)
def test_a_replay_restored_from_segments_equals_the_one_that_went_on(
    ends: list[list[bool]], stop: int, compressed: bool, capacity: int
) -> None:
    def fresh() -> ReplayBuffer:
        return make(num_envs=2, expected=1000, frame_memory_gb=0.0 if compressed else 1.0, capacity=capacity)

    original, restored = fresh(), fresh()
    with tempfile.TemporaryDirectory() as directory:
        log = ReplayLog(Path(directory))
        for row, end in enumerate(ends[:stop]):
            add(original, end)
            if row % 20 == 19:
                log.extend(original)
        log.extend(original)
        ReplayLog(Path(directory)).load([segment.name for segment in log.segments], restored)
    restored.restore(original.state())
    for end in ends[stop:]:
        add(original, end)
        add(restored, end)
    rows = np.repeat(np.arange(original.oldest_row, len(ends)), 2)
    envs = np.tile(np.arange(2), len(rows) // 2)
    assert np.array_equal(original.stacks(rows, envs, 4), restored.stacks(rows, envs, 4))
    slots = original.slots(rows)
    for name in ("actions", "rewards", "first", "last", "priorities"):
        assert np.array_equal(getattr(original, name)[slots, envs], getattr(restored, name)[slots, envs]), name


def test_a_damaged_segment_is_found_out(tmp_path: Path) -> None:
    replay, log = make(), ReplayLog(tmp_path)
    add(replay)
    log.extend(replay)
    (segment,) = log.segments
    data = bytearray((tmp_path / segment.name).read_bytes())
    data[-1] ^= 1
    (tmp_path / segment.name).write_bytes(data)
    other = ReplayLog(tmp_path)
    with pytest.raises(DamagedError, match=segment.name):
        other.load([segment.name], make())
    assert other.segments == []  # so that what is written next begins with the first row


def test_compressed_frames_are_read_back_bit_for_bit() -> None:
    rng = np.random.default_rng(0)
    raw, compressed = RawFrames(5, 3, (8, 8, 3)), CompressedFrames(5, 3, (8, 8, 3))
    for row in range(5):
        frames = rng.integers(256, size=(3, 8, 8, 3), dtype=np.uint8)
        raw.write(row, frames)
        compressed.write(row, frames)
    rows, envs = rng.integers(5, size=(4, 6)), rng.integers(3, size=(4, 6))
    assert np.array_equal(raw.read(rows, envs), compressed.read(rows, envs))


def test_final_frames_go_with_the_rows_that_they_follow_and_survive_on_disk(tmp_path: Path) -> None:
    """A ring of 7 slots: rows 0 to 2 are overwritten, and with row 2 what was seen after it, also where all are read again."""
    replay, log = make(num_envs=2, expected=12), ReplayLog(tmp_path)
    for row in range(10):
        frames, ends = np.full((2, 2, 2, 3), row, np.uint8), np.array([row in (2, 8), row == 4])
        one = np.ones(2, np.float32)
        replay.append(frames, np.zeros(2, np.int64), one, ends, np.zeros((2, A), np.float32), one, frames + np.uint8(100))
        log.extend(replay)
    names = [segment.name for segment in log.segments]
    held, all_rows = make(num_envs=2, expected=12), make(num_envs=2, expected=12)
    ReplayLog(tmp_path).load(names[-replay.max_rows :], held)
    ReplayLog(tmp_path).load(names, all_rows)
    slots, envs = replay.slots(np.array([4, 8])), np.array([1, 0])
    for each in (replay, held, all_rows):
        assert set(each.final_frames.blocks) == set(zip(slots.tolist(), envs.tolist(), strict=True))
        assert each.final_frames.read(slots, envs)[:, 0, 0, 0].tolist() == [104, 108]


@settings(max_examples=60)
@given(
    size=st.sampled_from([1, 2, FAN_OUT, FAN_OUT + 1, FAN_OUT**2 + 3]),
    empty=st.floats(0.0, 0.99),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_share_falls_on_the_place_where_the_running_sum_passes_it(size: int, empty: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Multiples of 1/8 add up without rounding, so both ways must agree exactly.
    masses = rng.integers(1, 100, size) / 8 * (rng.random(size) >= empty)
    masses[rng.integers(size)] = 1.0
    tree, shares = SumTree(masses), rng.integers(0, 2**20, 200) / 2**20
    expected = np.searchsorted(np.cumsum(masses), shares * masses.sum(), side="right")
    assert tree.total == masses.sum()
    assert tree.find(shares).tolist() == expected.tolist()


def test_no_place_of_mass_zero_is_found_however_sums_are_rounded() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        masses = rng.random(300) ** 8 * (rng.random(300) < 0.3)
        masses[-40:] = 0.0
        tree = SumTree(masses)
        shares = np.array([0.0, 0.5, np.nextafter(1.0, 0.0)])
        assert (masses[tree.find(shares)] > 0).all()


@settings(max_examples=40)
@given(
    ends=st.lists(st.lists(st.booleans(), min_size=2, max_size=2), min_size=8, max_size=80),
    capacity=st.sampled_from([20, 40, 1000]),
    alpha=st.sampled_from([0.0, 0.6, 1.0]),
    seed=st.integers(0, 1000),
)
def test_a_replay_that_was_always_sampled_from_draws_what_a_restored_one_draws(
    ends: list[list[bool]], capacity: int, alpha: float, seed: int
) -> None:
    rng, config = np.random.default_rng(seed), ReplayConfig(capacity=capacity, priority_exponent=alpha)
    replay, restored = (ReplayBuffer(config, 2, (1, 1, 3), 4, 3, 1000) for _ in range(2))
    for row, end in enumerate(ends):
        for each in (replay, restored):
            column = np.full(2, row)
            each.append(np.zeros((2, 1, 1, 3), np.uint8), column, column, np.array(end), np.zeros((2, 4)), column)
        if row >= 4:
            # Only this replay's sums are brought up to date change by change.
            sample = replay.sample(5, np.random.default_rng(row), 0.4)
            replay.update_priorities(sample, rng.exponential(size=5))
    restored.restore(replay.state())
    ours, theirs = (each.sample(50, np.random.default_rng(1), 0.4) for each in (replay, restored))
    assert ours.rows.tolist() == theirs.rows.tolist()
    assert ours.envs.tolist() == theirs.envs.tolist()
    assert np.array_equal(ours.weights, theirs.weights)
    assert ours.rows.min() >= replay.oldest_row
    ready = (replay.last[replay.slots(ours.rows), ours.envs] < 1000) | (ours.rows + 3 < len(ends))
    assert ready.all()
