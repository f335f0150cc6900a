"""n-step transitions against cases worked out by hand."""

from typing import Any

import numpy as np
import pytest

from xtra.agents.curl.batch import n_step_returns, transitions
from xtra.agents.curl.config import CurlConfig
from xtra.replay.buffer import ReplayBuffer, Sample


def config(**targets: Any) -> CurlConfig:
    return CurlConfig.model_validate({"network": {"frame_stack": 2}, "targets": {"td_steps": 3, "discount": 0.5} | targets})


def filled(settings: CurlConfig, ends: set[int], num_rows: int) -> ReplayBuffer:
    """One environment. Row t's frame is t + 1 everywhere, its reward t + 1, its action t."""
    replay = ReplayBuffer(settings.replay, 1, (10, 10, 1), 18, settings.window, 100)
    for row in range(num_rows):
        frame, reward = np.full((1, 10, 10, 1), row + 1, np.uint8), np.array([row + 1], np.float32)
        nothing = np.zeros((1, 18), np.float32), np.zeros(1, np.float32)
        replay.append(frame, np.array([row]), reward, np.array([row in ends]), *nothing)
    return replay


def at(*rows: int) -> Sample:
    return Sample(np.array(rows), np.zeros(len(rows), np.int64), np.ones(len(rows), np.float32))


def test_returns_are_discounted_sums() -> None:
    # 1 + 2/2 + 4/4 and 8 + 0 + 0.
    assert n_step_returns(np.array([[1, 2, 4], [8, 0, 0]], np.float32), 0.5).tolist() == [3.0, 8.0]


def test_an_end_inside_the_window_stops_the_return_and_drops_the_bootstrap() -> None:
    settings = config(clip_rewards=False)
    replay = filled(settings, ends={4}, num_rows=9)
    samples = transitions(replay, at(1, 2, 4, 5), settings)
    # Row 1: 2 + 3/2 + 4/4, then row 4, the last of its trajectory, which is bootstrapped from: 0.5^3.
    # Row 2: 3 + 4/2 + 5/4, and the end. Row 4: 5 alone. Row 5 starts another trajectory: 6 + 7/2 + 8/4, then row 8.
    assert samples.returns.tolist() == [4.5, 6.25, 5.0, 11.5]
    assert samples.discounts.tolist() == [0.125, 0.0, 0.0, 0.125]
    assert samples.actions.tolist() == [1, 2, 4, 5]
    assert samples.stacks[:, :, 0, 0, 0].tolist() == [[1, 2], [2, 3], [4, 5], [6, 6]]
    assert samples.next_stacks[[0, 3], :, 0, 0, 0].tolist() == [[4, 5], [8, 9]]


def test_rewards_are_learned_by_their_sign_unless_told_otherwise() -> None:
    settings = config()
    samples = transitions(filled(settings, ends=set(), num_rows=9), at(3), settings)
    assert samples.returns.tolist() == [1.75]


@pytest.mark.parametrize(
    ("game", "weight"), [("Pong", 0.01), ("Boxing", 0.01), ("PrivateEye", 0.01), ("Freeway", 0.01), ("Alien", 1.0)]
)
def test_the_released_contrastive_weight_depends_on_the_game(game: str, weight: float) -> None:
    assert CurlConfig().contrastive.weight_in(game) == weight
    assert CurlConfig.model_validate({"contrastive": {"weight": 0.5}}).contrastive.weight_in(game) == 0.5


@pytest.mark.parametrize("contrastive", [{"weight": -1.0}, {"weight": "none"}, {"crop_margin": 9}])
def test_settings_that_make_no_sense_are_refused(contrastive: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="contrastive"):
        CurlConfig.model_validate({"contrastive": contrastive})
