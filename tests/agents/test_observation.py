"""Observations and their augmentation: by hand, and C++ beside torch's operations, bit for bit."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xtra.agents._observations import write_observations
from xtra.agents.efficientzero.config import OptimizerConfig
from xtra.agents.observation import (
    Augmentation,
    augment,
    gather,
    join_frames,
    observations_at,
    shifted_frames,
    to_observations,
)


def random_frames(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_a_stack_lies_oldest_frame_first_in_channels_of_0_to_1() -> None:
    frames = torch.tensor([[0, 51], [102, 255]], dtype=torch.uint8)  # two frames of two pixels, one channel
    observation = to_observations(frames.view(1, 2, 1, 2, 1), torch.device("cpu"))
    assert observation.tolist() == [[[[0, torch.tensor(51 / 255).item()]], [[torch.tensor(102 / 255).item(), 1]]]]


@settings(max_examples=40)
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(4, 7), st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3])),
    stack=st.integers(1, 4),
    shift=st.integers(0, 12),
    seed=st.integers(0, 99),
)
def test_cpp_and_torch_make_the_same_bits(shape: tuple[int, ...], stack: int, shift: int, seed: int) -> None:
    frames, rng = random_frames(*shape), np.random.default_rng(seed)
    samples, steps = rng.integers(shape[0], size=8), rng.integers(shape[1] - stack + 1, size=8)
    plain = join_frames([frames[samples, steps + i] for i in range(stack)])
    assert torch.equal(observations_at(frames, samples, steps, stack), plain)
    config = OptimizerConfig(augmentation_shift=shift, augmentation_intensity=0.3)
    window, generator = frames[:, 1:], torch.Generator()
    drawn = Augmentation.draw(shape[0], config, generator.manual_seed(seed), frames.device)
    whole = shifted_frames(window, drawn)
    observations = augment(window, stack, config, generator.manual_seed(seed))
    assert len(observations) == shape[1] - stack
    for step, observation in enumerate(observations):
        assert torch.equal(observation, whole[:, step * shape[4] : (step + stack) * shape[4]])


def test_without_augmentation_observations_are_as_they_were_seen() -> None:
    frames = random_frames(3, 6, 5, 5, 3)
    observations = augment(frames, 4, OptimizerConfig(augmentation="none"), torch.Generator())
    assert [torch.equal(seen, to_observations(frames[:, k : k + 4], seen.device)) for k, seen in enumerate(observations)] == [
        True
    ] * 3


def test_threads_change_nothing() -> None:
    frames, samples, steps = random_frames(7, 5, 6, 6, 3), torch.arange(7).repeat(3), torch.arange(3).repeat_interleave(7)
    drawn = Augmentation.draw(21, OptimizerConfig(), torch.Generator().manual_seed(1), frames.device)
    expected = gather(frames, samples, steps, drawn, 3)
    for threads in (1, 2, 5, 40):
        out = torch.empty(21, 6, 6, 9)
        write_observations(frames, samples, steps, *drawn, out, threads)
        assert torch.equal(out.permute(0, 3, 1, 2), expected)


def test_places_outside_the_frames_and_arrays_that_do_not_belong_together_are_refused() -> None:
    frames, one, unchanged = random_frames(2, 3, 4, 4, 3), torch.tensor([1]), torch.zeros(1, 2, dtype=torch.int64)

    def write(sample: int, step: int, scales: int = 1, channels: int = 6, seen: torch.Tensor = frames) -> None:
        out = torch.empty(1, 4, 4, channels)
        write_observations(seen, one * sample, one * step, unchanged, torch.ones(scales), out, 1)

    write(1, 1)
    for sample, step in ((2, 0), (-1, 0), (0, 2), (0, -1)):
        with pytest.raises(IndexError, match="outside the frames"):
            write(sample, step)
    with pytest.raises(ValueError, match="do not belong together"):
        write(0, 0, scales=2)
    with pytest.raises(ValueError, match="do not belong together"):
        write(0, 0, channels=7)
    with pytest.raises(ValueError, match="one after another"):
        write(0, 0, seen=frames.transpose(2, 3))


def test_augmentation_shifts_all_channels_of_a_sample_together_and_scales_their_intensity() -> None:
    frames = torch.zeros(200, 2, 12, 12, 3, dtype=torch.uint8)
    frames[:, :, 6, 6] = 255
    (out,) = augment(frames, 2, OptimizerConfig(), torch.Generator().manual_seed(0))
    position = out.flatten(2).argmax(-1)
    assert (position == position[:, :1]).all()
    rows, columns = position[:, 0] // 12, position[:, 0] % 12
    assert set(rows.tolist()) == set(columns.tolist()) == set(range(2, 11))
    brightness = out.amax((1, 2, 3))
    assert (out.amax((2, 3)) == brightness[:, None]).all()
    assert brightness.min() >= 0.9
    assert brightness.max() <= 1.1
    assert brightness.std() == pytest.approx(0.05, rel=0.3)


def test_a_shift_repeats_the_edge_that_it_moves_away_from() -> None:
    frames = torch.arange(6, dtype=torch.uint8).view(1, 1, 1, 6, 1).expand(300, 1, 6, 6, 1)
    config = OptimizerConfig(augmentation_shift=2, augmentation_intensity=0.0)
    (out,) = augment(frames, 1, config, torch.Generator().manual_seed(0))
    rows = {tuple(row) for row in (out[:, 0, 0] * 255).round().int().tolist()}
    assert rows == {(0, 0, 0, 1, 2, 3), (0, 0, 1, 2, 3, 4), (0, 1, 2, 3, 4, 5), (1, 2, 3, 4, 5, 5), (2, 3, 4, 5, 5, 5)}


def test_frames_of_one_row_or_stacks_of_one_frame_are_read_whatever_their_strides() -> None:
    frames = random_frames(3, 1, 1, 4, 3)
    strange = frames.as_strided(frames.shape, (12, 5, 7, 3, 1))
    expected = to_observations(frames, torch.device("cpu"))
    assert torch.equal(to_observations(strange, torch.device("cpu")), expected)
    out = torch.empty(3, 1, 4, 3)
    places = torch.zeros(3, dtype=torch.int64)
    write_observations(strange, torch.arange(3), places, torch.zeros(3, 2, dtype=torch.int64), torch.ones(3), out, 1)
    assert torch.equal(out.permute(0, 3, 1, 2), expected)
    with pytest.raises(TypeError):
        write_observations(frames, torch.arange(3), places, torch.zeros(3, 2, dtype=torch.int64), torch.ones(3), out.double(), 1)
