"""Pairs of a source and a target game, from a study's rows: the gain of each, and the predictors that were measured beforehand.

A method with probes stands for its one source game. Arrays are `[T, S, R]`, targets by sources by seeds, NaN where a run is
missing or a game would be its own source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from xtra_analysis.learning_curves import areas
from xtra_analysis.matrices import Array
from xtra_analysis.study import Study

EARLY_SHARE = 0.05
"""Of the budget of env steps, after which the early gain is read."""
EARLY_GAIN = "early_gain"
OWN_SCORE = "own_score"


@dataclass(frozen=True)
class Pairs:
    """Gains `[T, S, R]` of all pairs, predictors of them and the mean seconds that each takes for one pair.

    gains: area under the learning curve less that of the run from scratch with the same seed, in `unit`.
    """

    targets: tuple[str, ...]
    sources: tuple[str, ...]
    seeds: tuple[int, ...]
    gains: Array
    predictors: Mapping[str, Array]
    seconds: Mapping[str, float]
    unit: str


def read_pairs(study: Study) -> Pairs | None:
    """Reads the pairs of a study; None where nothing was probed, or there is no run from scratch to compare with."""
    probes, curves = study.tables["probes"], study.tables["curves"]
    if probes.empty or study.baseline is None or curves.empty:
        return None
    source_of = probes.drop_duplicates("method").set_index("method")["source_game"]
    axes = (
        tuple(sorted(probes["game"].unique())),
        tuple(sorted(source_of.unique())),
        tuple(sorted(probes["seed"].unique().tolist())),
    )
    unit, means = _unit(curves, study.baseline)
    curves = curves.assign(normalized=_in_unit(curves, "game", means))
    source_scores = study.tables["source_scores"]
    source_scores = source_scores.assign(normalized=_in_unit(source_scores, "source_game", means))
    gains = _gains(areas(curves), source_of, study.baseline)
    if gains.empty:
        return None
    named = probes.rename(columns={"source_game": "source"})
    measured = {str(name): _array(part, axes) for name, part in named.groupby("predictor", sort=False)}
    measured[OWN_SCORE] = _own_scores(source_scores, source_of, axes)
    measured[EARLY_GAIN] = _array(_gains(early_scores(curves), source_of, study.baseline), axes)
    seconds = {str(name): float(value) for name, value in probes.groupby("predictor", sort=False)["seconds"].mean().items()}
    seconds[EARLY_GAIN] = EARLY_SHARE * finetuning_seconds(study)
    return Pairs(*axes, gains=_array(gains, axes), predictors=measured, seconds=seconds, unit=unit)


def _unit(curves: pd.DataFrame, baseline: str) -> tuple[str, pd.Series | None]:
    """Chooses the unit in which scores of different games are compared: normalised ones where every game has them; else shares of
    the baseline's score at its last evaluation: the mean over seeds, by game, NaN where it is not above zero."""
    if curves["normalized"].notna().all():
        return "normalized score", None
    final = curves[curves["method"] == baseline].sort_values("env_steps", kind="stable").groupby(["game", "seed"])["score"].last()
    means = final.groupby("game").mean()
    return f"shares of {baseline}'s mean final score", means.where(means > 0)


def _in_unit(rows: pd.DataFrame, game: str, means: pd.Series | None) -> pd.Series:
    return rows["normalized"] if means is None else rows["score"] / rows[game].map(means)


def early_scores(curves: pd.DataFrame) -> pd.DataFrame:
    """Returns each run's score at its first evaluation after EARLY_SHARE of its env steps; columns `method`, `game`, `seed`,
    `value`."""
    known = curves.dropna(subset=["normalized"])
    budget = known.groupby(["method", "game", "seed"])["env_steps"].transform("max")
    late = known[known["env_steps"] >= EARLY_SHARE * budget].sort_values("env_steps", kind="stable")
    first = late.groupby(["method", "game", "seed"], sort=False).head(1)
    return first[["method", "game", "seed", "normalized"]].rename(columns={"normalized": "value"})


def finetuning_seconds(study: Study) -> float:
    """Returns the mean seconds of a finetuning of a probed method; NaN where no costs are known."""
    costs, probed = study.tables["costs"], set(study.tables["probes"]["method"])
    trained = costs[(costs["stage"] == "train") & costs["method"].isin(probed)]
    own = trained[trained["key"].isin(set(study.scores["train_key"]))]
    return float(own.drop_duplicates("key")["seconds"].mean())


def _gains(values: pd.DataFrame, source_of: pd.Series, baseline: str) -> pd.DataFrame:
    """Subtracts the baseline's value of the same game and seed from those of the probed methods: columns `game`, `source`,
    `seed`, `value`."""
    scratch = values[values["method"] == baseline].set_index(["game", "seed"])["value"].rename("scratch")
    probed = values[values["method"].isin(source_of.index)].join(scratch, on=["game", "seed"], how="inner")
    return probed.assign(source=probed["method"].map(source_of), value=probed["value"] - probed["scratch"])


def _own_scores(scores: pd.DataFrame, source_of: pd.Series, axes: tuple[tuple[str, ...], ...]) -> Array:
    """Returns the score of each pair's pretrained network on its own game."""
    probed = scores[scores["method"].isin(source_of.index)]
    return _array(probed.rename(columns={"source_game": "source", "normalized": "value"}), axes)


def _array(rows: pd.DataFrame, axes: tuple[tuple[object, ...], ...]) -> Array:
    """Turns rows with columns `game`, `source`, `seed`, `value` into `[T, S, R]`."""
    values = np.full([len(axis) for axis in axes], np.nan)
    places = [{name: place for place, name in enumerate(axis)} for axis in axes]
    for row in rows[["game", "source", "seed", "value"]].itertuples(index=False):
        here = tuple(place.get(name) for place, name in zip(places, row[:3], strict=True))
        if None not in here:
            values[here] = row.value
    return values
