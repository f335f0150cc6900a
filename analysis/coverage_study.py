"""How often 95 % intervals hold the truth at few runs: rliable's percentile interval, and the small-sample one of the reports.

    python analysis/coverage_study.py --simulations 1000 --out results/ours/interval_coverage.csv
    python analysis/coverage_study.py --simulations 1000 --games 1 2 3 4 5 --runs 2 3 5 \\
        --out results/ours/interval_coverage_few_games.csv

Each population says how the runs of each game are distributed; game levels are EfficientZero's published human-normalized scores.
The truth of a statistic is its value on 20,000 runs per game. `extreme_skew` lies beyond the populations that the intervals are
made for, and is kept to show their limits.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from xtra_analysis.aggregates import AGGREGATES, POOLED, mean
from xtra_analysis.comparison import LEANING, RATIO_STATISTICS, probability_of_improvement
from xtra_analysis.intervals import generator, joint_distribution, percentile_interval, pool_spread, small_sample_interval
from xtra_analysis.matrices import Array
from xtra_analysis.time_to_threshold import mean_difference

from xtra.protocol.scores import published_scores, reference_scores

Population = Callable[[np.random.Generator, int, int], Array]
"""(random, runs, games) → normalized scores (runs, games)."""

STATISTICS: dict[str, Callable[..., Array]] = {
    **AGGREGATES,
    **RATIO_STATISTICS,
    "probability_of_improvement": probability_of_improvement,
    "mean_difference": mean_difference,
}
"""The last is that of env steps to reach a score."""

TRUE_RATIO = 1.2
RUNS_FOR_TRUTH = 20_000
REPS = 600


def levels(games: int) -> Array:
    """Returns EfficientZero's human-normalized scores `[games]`, thinned evenly to so many games."""
    references = reference_scores()
    known = sorted(references[one.game].normalize(one.score) for one in published_scores() if one.method == "EfficientZero")
    places = np.linspace(0, len(known) - 1, games).round().astype(int)
    return np.array([known[place] for place in places])


def normal(random: np.random.Generator, runs: int, games: int) -> Array:
    """Draws scores `[runs, games]`: symmetric, 25 % spread."""
    return levels(games) * (1.0 + 0.25 * random.standard_normal((runs, games)))


def skewed(random: np.random.Generator, runs: int, games: int) -> Array:
    """Draws scores `[runs, games]`: lognormal, 53 % spread."""
    return levels(games) * _lognormal(random, 0.5, (runs, games))


def heavy_tails(random: np.random.Generator, runs: int, games: int) -> Array:
    """Draws scores `[runs, games]`: Student's t with 3 degrees of freedom, never below a twentieth of the level."""
    return levels(games) * np.maximum(1.0 + 0.25 * random.standard_t(3, (runs, games)), 0.05)


def collapsing(random: np.random.Generator, runs: int, games: int) -> Array:
    """Draws scores `[runs, games]`: one run in five learns hardly anything."""
    return normal(random, runs, games) * np.where(random.random((runs, games)) < 0.2, 0.2, 1.0)


def breakthrough(random: np.random.Generator, runs: int, games: int) -> Array:
    """Draws scores `[runs, games]`: one run in five triples the score."""
    return normal(random, runs, games) * np.where(random.random((runs, games)) < 0.2, 3.0, 1.0)


def dominated(random: np.random.Generator, runs: int, games: int) -> Array:
    """Draws scores `[runs, games]`: one game is twenty times as large as the others; lognormal."""
    size = np.where(np.arange(games) == games - 1, 10.0, 0.5)
    return size * _lognormal(random, 0.5, (runs, games))


def mixed_spread(random: np.random.Generator, runs: int, games: int) -> Array:
    """Draws scores `[runs, games]`: lognormal, from 5 % spread in one game to 66 % in another."""
    sigma = np.linspace(0.05, 0.6, games)[np.random.default_rng(5).permutation(games)]
    return levels(games) * _lognormal(random, sigma, (runs, games))


def extreme_skew(random: np.random.Generator, runs: int, games: int) -> Array:
    """Draws scores `[runs, games]`: lognormal, 131 % spread."""
    return levels(games) * _lognormal(random, 1.0, (runs, games))


def _lognormal(random: np.random.Generator, sigma: float | Array, shape: tuple[int, int]) -> Array:
    """Draws lognormal numbers of mean 1."""
    return np.asarray(np.exp(sigma * random.standard_normal(shape) - 0.5 * np.square(sigma)))


POPULATIONS: dict[str, Population] = {
    population.__name__: population
    for population in (normal, skewed, heavy_tails, collapsing, breakthrough, dominated, mixed_spread, extreme_skew)
}


def coverage(name: str, games: int, runs: int, simulations: int) -> pd.DataFrame:
    """One row per statistic: how often each interval held the truth, and their median widths."""
    many = POPULATIONS[name](generator(1, name), RUNS_FOR_TRUTH, games)
    truth = {statistic: float(function(many)) for statistic, function in AGGREGATES.items()}
    truth |= {statistic: float(function(TRUE_RATIO * many, many)) for statistic, function in RATIO_STATISTICS.items()}
    pairs = {"probability_of_improvement": _true_improvement(many), "mean_difference": (TRUE_RATIO - 1) * float(mean(many))}
    identity = (name, str(games), str(runs))
    frame = pd.concat(
        [
            _simulate(name, (runs, games), truth, simulations, generator(0, *identity)),
            _simulate(name, (runs, games), pairs, simulations, generator(0, *identity, "pairs")),
        ]
    )
    grouped = frame.groupby("statistic", sort=False)
    result = pd.DataFrame(
        {
            "percentile_coverage": grouped["percentile_held"].mean(),
            "small_sample_coverage": grouped["small_sample_held"].mean(),
            "width_ratio": (grouped["small_sample_width"].median() / grouped["percentile_width"].median()).round(3),
        }
    ).reset_index()
    return result.assign(population=name, games=games, runs=runs, simulations=simulations)


def _simulate(
    name: str, shape: tuple[int, int], truth: Mapping[str, float], simulations: int, random: np.random.Generator
) -> pd.DataFrame:
    rows = []
    for _ in range(simulations):
        samples = [TRUE_RATIO * POPULATIONS[name](random, *shape), POPULATIONS[name](random, *shape)]
        for statistic, target in truth.items():
            rows.append((statistic, *_one(statistic, samples, target, random)))
    return pd.DataFrame(
        rows, columns=["statistic", "percentile_held", "small_sample_held", "percentile_width", "small_sample_width"]
    )


def _true_improvement(runs: Array) -> float:
    """Estimates the chance that a run times TRUE_RATIO beats another run: pairs of 20,000 runs are counted by sorting."""
    below = [np.searchsorted(np.sort(game), TRUE_RATIO * game).mean() / len(game) for game in runs.T]
    return float(np.mean(below))


def _one(statistic: str, samples: list[Array], target: float, random: np.random.Generator) -> tuple[bool, bool, float, float]:
    function = STATISTICS[statistic]
    data = samples[1:] if statistic in AGGREGATES else samples
    size = samples[0].shape[0] * samples[1].size
    drawn = joint_distribution(function, data, REPS, random, size)
    percentile = percentile_interval(drawn)
    estimate = float(function(*data))
    if statistic in POOLED:
        data = [pool_spread(sample) for sample in data]
        drawn = joint_distribution(function, data, REPS, random, size)
    honest = small_sample_interval(function, data, drawn, estimate, longer_arm=statistic in POOLED or function in LEANING)
    if statistic == "probability_of_improvement":
        honest = honest.clip(0.0, 1.0)
    return (
        percentile.low <= target <= percentile.high,
        honest.low <= target <= honest.high,
        percentile.high - percentile.low,
        honest.high - honest.low,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--games", type=int, nargs="+", default=[10, 26], help="sizes of studies to simulate")
    parser.add_argument("--runs", type=int, nargs="+", default=[3, 5], help="runs per game, at least 2")
    parser.add_argument("--out", type=Path, default=Path("results/ours/interval_coverage.csv"))
    arguments = parser.parse_args()
    parts = [
        coverage(name, games, runs, arguments.simulations)
        for name in POPULATIONS
        for games in arguments.games
        for runs in arguments.runs
    ]
    columns = [
        "population",
        "games",
        "runs",
        "statistic",
        "percentile_coverage",
        "small_sample_coverage",
        "width_ratio",
        "simulations",
    ]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    pd.concat(parts)[columns].to_csv(arguments.out, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
