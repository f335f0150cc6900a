"""Methods against the baseline: ratios whose numerator and denominator are resampled together, and the chance of doing better.

The paper normalises by EfficientZero's mean score of each game and averages over games; treating that mean as known would hide
half of the uncertainty.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from xtra_analysis.aggregates import Array, game_means, interquartile_mean
from xtra_analysis.bootstrap import generator, joint_distribution
from xtra_analysis.errors import InputError
from xtra_analysis.intervals import LEVEL, UNKNOWN, percentile_interval, small_sample_interval
from xtra_analysis.matrices import games_with_values, runs_per_game, score_matrix
from xtra_analysis.significance import holm, permutation_test

RATIO_REPS = 10_000
IMPROVEMENT_REPS = 2_000
"""As in rliable."""


def ratios(scores: Array, baseline: Array) -> Array:
    """Mean score over the baseline's mean score: (..., runs, games) of both → (..., games)."""
    return game_means(scores) / game_means(baseline)


def mean_ratio(scores: Array, baseline: Array) -> Array:
    """The paper's aggregate: the unweighted mean over games of the ratios."""
    return np.asarray(ratios(scores, baseline).mean(axis=-1))


def median_ratio(scores: Array, baseline: Array) -> Array:
    """The median over games of the ratios."""
    return np.asarray(np.median(ratios(scores, baseline), axis=-1))


def iqm_ratio(scores: Array, baseline: Array) -> Array:
    """The interquartile mean over runs × games of the score over the baseline's mean."""
    return interquartile_mean(scores / game_means(baseline)[..., None, :])


def probability_of_improvement(scores: Array, baseline: Array) -> Array:
    """The mean over games of P(X > Y) + ½ P(X = Y), X a run of the method and Y one of the baseline (rliable)."""
    ours, theirs = scores[..., :, None, :], baseline[..., None, :, :]
    points = (ours > theirs) + 0.5 * (ours == theirs)
    pairs = (~np.isnan(ours) & ~np.isnan(theirs)).sum(axis=(-3, -2))
    return np.asarray((points.sum(axis=(-3, -2)) / pairs).mean(axis=-1))


RATIO_STATISTICS: dict[str, Callable[[Array, Array], Array]] = {
    "mean_ratio": mean_ratio,
    "median_ratio": median_ratio,
    "iqm_ratio": iqm_ratio,
}
GAME_RATIO_COLUMNS = [
    "method", "game", "estimate", "low", "high", "percentile_low", "percentile_high", "num_runs", "num_baseline_runs", "unstable",
]  # fmt: skip
LEANING = (iqm_ratio,)
"""Statistics whose bias needs the wider of two spreads (`coverage_study.py`)."""
COMPARISON_COLUMNS = [
    "method", "baseline", "statistic", "estimate", "low", "high", "percentile_low", "percentile_high",
    "num_games", "min_runs", "max_runs", "p_value", "p_holm",
]  # fmt: skip


def compare(frame: pd.DataFrame, baseline: str, seed: int = 0) -> pd.DataFrame:
    """Ratios to the baseline and probability of improvement of every other method of a frame as `load` gives it.

    Only games in which both have a score count, and for ratios only those in which every run of the baseline is positive.
    `p_value` is of a stratified permutation test of "no difference", exact at any number of runs; `p_holm` corrects it
    for the number of methods compared. Both are given with the probability of improvement, on whose ranks the test is made.
    Raises InputError for a baseline that is no method of the frame.
    """
    others, reference = split_off(frame, baseline)
    rows: list[dict[str, object]] = []
    for method, part in others.groupby("method", sort=False):
        rows += _compare_one(str(method), part, baseline, reference, seed)
    table = pd.DataFrame(rows, columns=COMPARISON_COLUMNS)
    tested = table["p_value"].notna()
    table.loc[tested, "p_holm"] = holm(table.loc[tested, "p_value"].to_numpy(dtype=np.float64))
    return table


def split_off(frame: pd.DataFrame, baseline: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows that have a score: of all other methods, and of the baseline. Raises InputError for a method that is not there."""
    methods = list(dict.fromkeys(frame["method"]))
    if baseline not in methods:
        raise InputError(f"no method {baseline!r}; there are {', '.join(methods)}")
    complete = frame[(frame["status"] == "complete") & frame["score"].notna()]
    is_baseline = complete["method"] == baseline
    return complete[~is_baseline], complete[is_baseline]


def _compare_one(method: str, part: pd.DataFrame, baseline: str, reference: pd.DataFrame, seed: int) -> list[dict[str, object]]:
    shared = [game for game in games_with_values(part, "score") if game in set(reference["game"])]
    positive = [game for game in shared if game in games_with_positive_scores(reference)]
    rows = []
    for statistic, function in RATIO_STATISTICS.items() if positive else ():
        samples = [score_matrix(part, positive, "score"), score_matrix(reference, positive, "score")]
        rows.append(joint_estimate(function, samples, RATIO_REPS, generator(seed, statistic, method)) | {"statistic": statistic})
    if shared:
        samples = [score_matrix(part, shared, "score"), score_matrix(reference, shared, "score")]
        random = generator(seed, "improvement", method)
        row = joint_estimate(probability_of_improvement, samples, IMPROVEMENT_REPS, random, (0.0, 1.0))
        rows.append(row | {"statistic": "probability_of_improvement", "p_value": permutation_test(*samples)})
    return [{"method": method, "baseline": baseline, **row} for row in rows]


def joint_estimate(
    statistic: Callable[[Array, Array], Array],
    samples: list[Array],
    reps: int,
    random: np.random.Generator,
    limits: tuple[float, float] = (-np.inf, np.inf),
) -> dict[str, Any]:
    """A statistic of two samples with both intervals, and how many games and runs stand behind it."""
    size = samples[0].shape[0] * samples[1].size
    distribution = joint_distribution(statistic, samples, reps, random, size)
    counts = [runs_per_game(sample) for sample in samples]
    fewest, most = min(count[0] for count in counts), max(count[1] for count in counts)
    honest = small_sample_interval(statistic, samples, distribution, longer_arm=statistic in LEANING).clip(*limits)
    percentile = percentile_interval(distribution) if fewest > 1 else UNKNOWN
    return {
        "estimate": float(statistic(*samples)),
        "low": honest.low,
        "high": honest.high,
        "percentile_low": percentile.low,
        "percentile_high": percentile.high,
        "num_games": samples[0].shape[1],
        "min_runs": fewest,
        "max_runs": most,
    }


def compare_games(frame: pd.DataFrame, baseline: str, seed: int = 0) -> pd.DataFrame:
    """The ratio to the baseline in each game: one row per (method, game), with intervals and `unstable`.

    A ratio is unstable where the baseline's own 95 % interval reaches zero (Fieller's condition); it has no interval where a run
    of the baseline is not positive, and no meaning (NaN) where its mean is not. Raises InputError as `compare` does.
    """
    others, reference = split_off(frame, baseline)
    rows = []
    for (method, game), part in others.groupby(["method", "game"], sort=False):
        theirs = reference[reference["game"] == game]
        if len(theirs):
            samples = [score_matrix(part, [game], "score"), score_matrix(theirs, [game], "score")]
            row = _game_row(samples, generator(seed, "game ratio", str(method), str(game)))
            unstable = denominator_is_unstable(samples[1][:, 0])
            rows.append(
                {
                    "method": method,
                    "game": game,
                    "num_runs": len(part),
                    "num_baseline_runs": len(theirs),
                    **row,
                    "unstable": unstable,
                }
            )
    return pd.DataFrame(rows, columns=GAME_RATIO_COLUMNS)


def _game_row(samples: list[Array], random: np.random.Generator) -> dict[str, Any]:
    baseline = samples[1][:, 0]
    if baseline.min() > 0:
        return joint_estimate(mean_ratio, samples, RATIO_REPS, random)
    ratio = float(mean_ratio(*samples)) if baseline.mean() > 0 else float("nan")
    return {"estimate": ratio} | dict.fromkeys(("low", "high", "percentile_low", "percentile_high"), float("nan"))


def games_with_positive_scores(frame: pd.DataFrame) -> set[str]:
    """The games in which every run scored above zero: only there can a ratio to them be averaged and resampled."""
    lowest = frame.groupby("game")["score"].min()
    return set(lowest.index[lowest > 0])


def denominator_is_unstable(scores: Array) -> bool:
    """Whether the mean's 95 % Student interval reaches zero. One run has no interval: only its sign can be looked at."""
    center = scores.mean()
    if len(scores) < 2 or center <= 0:
        return bool(center <= 0)
    reach = stats.t.ppf(0.5 * (1 + LEVEL), len(scores) - 1) * scores.std(ddof=1) / np.sqrt(len(scores))
    return bool(center - reach <= 0)
