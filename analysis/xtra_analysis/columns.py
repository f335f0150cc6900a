"""Columns and phrases that several tables and captions share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from xtra_analysis.page import Column
from xtra_analysis.significance import LEVEL
from xtra_analysis.study import Study
from xtra_analysis.text import NONE, number, runs, span

METHOD = Column("Method", lambda row: row.method, numeric=False)
GAMES = Column("Games", lambda row: str(row.num_games))
EQUIVALENCE_TITLE = "Better, worse or equivalent"
"""The heading of the section that judges areas under learning curves, which others refer to."""
LOWER_IS_BETTER = "optimality_gap"
"""The one statistic of which this holds."""
SEEDS = Column("Seeds", lambda row: runs(row.min_runs, row.max_runs))


def cell_text(texts: Mapping[tuple[str, str], str], method: str, row: Any) -> str:
    """Returns the text of (the row's game, method) in a table of games × methods."""
    return texts.get((row.game, method), NONE)


def sample_text(rows: pd.DataFrame) -> str:
    """Tells how many games and seeds a figure's estimates come from."""
    games = runs(int(rows["num_games"].min()), int(rows["num_games"].max()))
    return f"Games: {games}; seeds of each: {runs(int(rows['min_runs'].min()), int(rows['max_runs'].max()))}."


def looks_note(study: Study) -> str:
    """Tells which seeds were looked at before, and how that changes p-values."""
    seen: set[int] = set()
    earlier = []
    for seeds in study.earlier_seeds:
        seen.update(seeds)
        if not seen.issuperset(study.record.seeds):
            earlier.append(", ".join(map(str, seeds)))
    before = "; then ".join(earlier)
    at_most = math.ceil(1_000 * LEVEL * sum(1 / look for look in range(1, study.looks + 1)) - 1e-9) / 10
    return (
        f"Results were seen before all seeds had been run (earlier runs had seeds {before}), so this is look {study.looks}, and "
        f"corrected p-values are multiplied by {study.looks}. Earlier looks were tested less strictly: the chance of a false "
        f"finding in any look is at most {at_most:g} %, not {100 * LEVEL:g} %. Intervals are not corrected."
    )


def band_text(points: pd.DataFrame) -> str:
    """Explains the bands of a curve, or their absence, and tells how many runs they come from."""
    if not points["low"].isna().all():
        bands = "Bands: 95 % intervals that allow for few seeds."
    elif points["max_runs"].max() > 1:
        bands = "No interval can be given for these points, so there are no bands."
    else:
        bands = "One seed gives no interval, so there are no bands."
    return f"{bands} {sample_text(points)}"


def spoken(rows: pd.DataFrame) -> str:
    """Words the estimates of a figure for readers who cannot see it; of a curve, its last point."""
    last = rows.groupby("method", sort=False).tail(1)
    return "; ".join(f"{row.method} {number(row.estimate)}" for row in last.itertuples()) + "."


def in_most_games(value: float, num_games: float, most_games: float) -> float:
    """Returns the value that a row competes with for the best of its column; NaN if other rows are over more games, since means
    over fewer are not to be ranked beside them."""
    return value if num_games == most_games else math.nan


def wide_estimates(table: pd.DataFrame) -> pd.DataFrame:
    """Turns rows (method, statistic) into one row per method, with `<statistic>_estimate`, `_low`, `_high`, `_num_games`.

    Methods keep their order; `num_games` is the smallest of the statistics; `<statistic>_most_games`, that of the
    method with most.
    """
    counts = table.groupby("method", sort=False).agg(
        num_games=("num_games", "min"), min_runs=("min_runs", "min"), max_runs=("max_runs", "max")
    )
    for statistic, part in table.groupby("statistic", sort=False):
        renamed = part.set_index("method")[["estimate", "low", "high", "num_games"]].add_prefix(f"{statistic}_")
        counts = counts.join(renamed)
        counts[f"{statistic}_most_games"] = part["num_games"].max()
    return counts.reset_index()


def estimate_columns(statistic: str, heading: str) -> list[Column]:
    """Makes the columns of an estimate and its small-sample interval, for rows of `wide_estimates`."""

    def estimate(row: Any) -> str:
        return number(getattr(row, f"{statistic}_estimate"))

    def interval(row: Any) -> str:
        return span(getattr(row, f"{statistic}_low"), getattr(row, f"{statistic}_high"))

    def value(row: Any) -> float:
        sign = -1.0 if statistic == LOWER_IS_BETTER else 1.0
        num_games, most_games = getattr(row, f"{statistic}_num_games"), getattr(row, f"{statistic}_most_games")
        return in_most_games(sign * float(getattr(row, f"{statistic}_estimate")), num_games, most_games)

    return [Column(heading, estimate, value=value), Column("95 % interval", interval)]
