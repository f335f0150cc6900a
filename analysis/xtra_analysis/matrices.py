"""Frames → (runs, games) matrices, the shape that rliable's definitions speak of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from xtra_analysis.aggregates import Array


def score_matrix(frame: pd.DataFrame, games: Sequence[str], value: str = "normalized") -> Array:
    """The values of one method as (runs, games): runs in order of seed, games with fewer runs padded below with NaN.

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
    """The games for which there is at least one value, in order of name."""
    return sorted(frame.loc[frame[value].notna(), "game"].unique())


def runs_per_game(matrix: Array) -> tuple[int, int]:
    """The smallest and the largest number of runs of a game."""
    counts = (~np.isnan(matrix)).sum(axis=0)
    return int(counts.min()), int(counts.max())
