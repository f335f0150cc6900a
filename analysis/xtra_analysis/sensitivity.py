"""How far missing runs could move the result: filled with the worst, then with the best score seen in their game."""

from __future__ import annotations

import pandas as pd

from xtra_analysis.aggregates import interquartile_mean
from xtra_analysis.matrices import games_with_values, score_matrix

SENSITIVITY_COLUMNS = ["method", "num_missing", "estimate", "worst", "best"]


def worst_case(scores: pd.DataFrame) -> pd.DataFrame:
    """IQM of each method with missing runs: as reported, and with them at the lowest and highest score of any run of the game."""
    known = scores[scores["normalized"].notna()]
    bounds = known.groupby("game")["normalized"].agg(["min", "max"])
    usable = scores[scores["game"].isin(bounds.index)]
    rows = []
    for method, part in usable.groupby("method", sort=False):
        gaps = part["normalized"].isna()
        if gaps.any() and not gaps.all():
            worst, best = (_iqm(_filled(part, bounds[end])) for end in ("min", "max"))
            rows.append((method, int(gaps.sum()), _iqm(part[~gaps]), worst, best))
    return pd.DataFrame(rows, columns=SENSITIVITY_COLUMNS)


def _filled(part: pd.DataFrame, values: pd.Series) -> pd.DataFrame:
    return part.assign(normalized=part["normalized"].fillna(part["game"].map(values)))


def _iqm(part: pd.DataFrame) -> float:
    return float(interquartile_mean(score_matrix(part, games_with_values(part))))
