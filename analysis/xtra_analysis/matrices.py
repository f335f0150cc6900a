"""Frames as matrices `[runs, games]`, the shape of rliable's definitions, and the choice of rows that go into them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray


class InputError(ValueError):
    """Raised for runs that cannot be read, or not together. Meant to be shown to a person without a traceback."""


Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]


def require_columns(frame: pd.DataFrame, *columns: str) -> None:
    """Raises InputError that names the first column which the frame does not have, and those which it has."""
    absent = [column for column in columns if column not in frame]
    if absent:
        raise InputError(f"the frame has no column {absent[0]!r}; it has {', '.join(map(str, frame.columns))}")


def score_matrix(frame: pd.DataFrame, games: Sequence[str], value: str = "normalized") -> Array:
    """Returns the values of one method as `[runs, games]`: runs in order of seed, games with fewer runs padded below with NaN.

    Rows without a value are left out. Raises ValueError for a game that has none.
    """
    columns = [frame[frame["game"] == game].sort_values("seed")[value].dropna().to_numpy(dtype=np.float64) for game in games]
    empty = [game for game, column in zip(games, columns, strict=True) if not len(column)]
    if empty or not columns:
        raise ValueError(f"no value of {value!r} for {', '.join(empty) or 'any game'}")
    matrix = np.full((max(len(column) for column in columns), len(columns)), np.nan)
    for index, column in enumerate(columns):
        matrix[: len(column), index] = column
    return matrix


def games_with_values(frame: pd.DataFrame, value: str = "normalized") -> list[str]:
    """Returns the games for which there is at least one value, in order of name."""
    return sorted(frame.loc[frame[value].notna(), "game"].unique())


def runs_per_game(matrix: Array) -> tuple[int, int]:
    """Returns the smallest and the largest number of runs of a game of a matrix `[runs, games]`."""
    counts = (~np.isnan(matrix)).sum(axis=0)
    return int(counts.min()), int(counts.max())


def is_ragged(scores: Array) -> bool:
    """Tells whether some game has fewer runs than another, of matrices `[..., runs, games]` that have their padding in the same
    places."""
    return bool(np.isnan(scores.reshape(-1, *scores.shape[-2:])[0]).any())


def game_means(scores: Array) -> Array:
    """Computes means over runs: `[..., runs, games]` → `[..., games]`."""
    return np.asarray(np.nanmean(scores, axis=-2) if is_ragged(scores) else scores.mean(axis=-2))


def split_by_baseline(frame: pd.DataFrame, baseline: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Returns the rows that have a score: of all other methods, and of the baseline. Raises InputError for a method that is not
    there."""
    require_columns(frame, "method", "game", "seed", "status", "score")
    methods = list(dict.fromkeys(frame["method"]))
    if baseline not in methods:
        raise InputError(f"no method {baseline!r}; there are {', '.join(methods)}")
    complete = frame[(frame["status"] == "complete") & frame["score"].notna()]
    is_baseline = complete["method"] == baseline
    return complete[~is_baseline], complete[is_baseline]


def games_with_positive_scores(frame: pd.DataFrame) -> set[str]:
    """Returns the games in which every run scored above zero: only there can a ratio to them be averaged and resampled."""
    lowest = frame.groupby("game")["score"].min()
    return set(lowest.index[lowest > 0])
