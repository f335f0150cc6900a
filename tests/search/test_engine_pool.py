"""Engines that are kept between searches: one of the same shape serves again, and idle ones hold little memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from problems import hash_model

from xtra.search import SearchConfig, engine, search


class IdleEngine:
    """An engine of so many bytes that nobody searches with."""

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes


def refuse() -> engine.Engine:
    raise AssertionError("one that is kept should have served")


@pytest.fixture(autouse=True)
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """An empty pool of at most 100 bytes."""
    monkeypatch.setattr(engine, "_kept", [])
    monkeypatch.setattr(engine, "MAX_KEPT_BYTES", 100)
    yield []


def keep(*sizes: int) -> None:
    for size in sizes:
        engine.return_engine(size, IdleEngine(size))  # type: ignore[arg-type]


def kept() -> list[int]:
    return [one.nbytes for _, one in engine._kept]


@pytest.mark.parametrize(
    ("sizes", "left"),
    [
        ((10, 20, 30, 40), [10, 20, 30, 40]),
        ((10, 20, 30, 40, 50), [40, 50]),  # 150 without the first is 140, without the second 120
        ((10, 20, 30, 5, 5), [20, 30, 5, 5]),
        ((50, 60), [60]),
        ((10, 500), [500]),
        ((500, 10), [10]),
    ],
)
def test_those_idle_for_longest_go_first_and_the_last_one_stays(sizes: tuple[int, ...], left: list[int]) -> None:
    keep(*sizes)
    assert kept() == left


def test_one_that_is_too_large_makes_room_for_another_shape_but_serves_its_own(pool: list[int]) -> None:
    keep(500)
    large = engine.borrow_engine(500, refuse)
    assert (large.nbytes, kept()) == (500, [])
    engine.return_engine(500, large)

    def make() -> engine.Engine:
        pool.extend(kept())
        return IdleEngine(400)  # type: ignore[return-value]

    assert engine.borrow_engine(400, make).nbytes == 400
    assert (pool, kept()) == ([], [])  # it was dropped before the other one was made


def test_small_ones_stay_while_another_shape_is_made() -> None:
    keep(10, 20)
    engine.borrow_engine(30, lambda: IdleEngine(30))  # type: ignore[arg-type, return-value]
    assert kept() == [10, 20]


def searches(rows: Callable[[int], int]) -> int:
    """Searches seven times; the bytes that are kept in the end."""
    for number in range(1, 8):
        valid = torch.ones(rows(number), 3, dtype=torch.bool)
        search(hash_model(3), range(rows(number)), SearchConfig(num_simulations=4), valid_actions=valid)
    return sum(kept())


def test_searches_of_many_shapes_keep_no_more_memory_than_those_of_one() -> None:
    assert 100 < searches(lambda number: 7) == searches(lambda number: number)
