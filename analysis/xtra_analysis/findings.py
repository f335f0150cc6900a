"""Everything a report states, computed once from a study."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from xtra_analysis.compare import COMPARISON_COLUMNS, GAME_RATIO_COLUMNS, compare, compare_games
from xtra_analysis.curves import CURVE_COLUMNS, relative_efficiency, sample_efficiency
from xtra_analysis.draws import draw_scores, draw_spread
from xtra_analysis.estimates import estimate
from xtra_analysis.profiles import performance_profiles
from xtra_analysis.reach import Reach, find_reach
from xtra_analysis.sensitivity import worst_case
from xtra_analysis.study import Study

CROWD = 5
"""With more methods than this, figures with bands stress the two that the question is about."""


@dataclass(frozen=True)
class Findings:
    """The study and its estimates; frames are empty where there is nothing to estimate.

    `comparison` and `game_ratios` are against the baseline, `ladder` is against the primary method. `reach` is None where
    the suite names no score to be reached, or no run has a learning curve.
    """

    study: Study
    seed: int
    estimates: pd.DataFrame
    efficiency: pd.DataFrame
    relative_efficiency: pd.DataFrame
    comparison: pd.DataFrame
    game_ratios: pd.DataFrame
    ladder: pd.DataFrame
    profiles: pd.DataFrame
    worst_case: pd.DataFrame
    reach: Reach | None
    draws: pd.DataFrame
    draw_spread: pd.DataFrame

    @property
    def primary(self) -> str | None:
        """The method the question is about."""
        return primary_method(self.study)

    @property
    def emphasis(self) -> list[str] | None:
        """Methods to stress in crowded figures; None for all."""
        if len(self.study.methods) <= CROWD:
            return None
        return [name for name in self.study.methods if name in (self.primary, self.study.baseline)]

    def estimate(self, method: str, statistic: str) -> pd.Series | None:
        """The row of one method and statistic of `estimate` or `compare`, or None."""
        for table in (self.estimates, self.comparison):
            found = table[(table["method"] == method) & (table["statistic"] == statistic)]
            if len(found):
                return found.iloc[0]
        return None


def primary_method(study: Study) -> str | None:
    """The first method, in suite order, that learns and is not the baseline; failing that, the first that has a score."""
    scored = set(study.complete["method"])
    challengers = [name for name in study.learners if name != study.baseline and name in scored]
    return next(iter(challengers or [name for name in study.methods if name in scored]), None)


def find(study: Study, seed: int = 0) -> Findings:
    """All estimates of the study. `seed` decides the resamples: equal rows and seed give equal numbers."""
    yardstick, curves, scores = study.yardstick, study.tables["curves"], study.scores
    draws = draw_scores(study)
    nothing = pd.DataFrame(columns=CURVE_COLUMNS)
    return Findings(
        study=study,
        seed=seed,
        estimates=_within_scale(study, estimate(scores, seed=seed)),
        efficiency=_within_scale(study, sample_efficiency(curves, seed=seed)) if len(curves) else nothing,
        relative_efficiency=relative_efficiency(curves, scores, yardstick, seed=seed) if yardstick and len(curves) else nothing,
        comparison=_comparison(study, seed),
        game_ratios=compare_games(scores, yardstick, seed) if yardstick else pd.DataFrame(columns=GAME_RATIO_COLUMNS),
        ladder=_ladder(study, seed),
        profiles=performance_profiles(scores, seed=seed),
        worst_case=worst_case(scores),
        reach=find_reach(curves, study.info.score_threshold, study.baseline, seed),
        draws=draws,
        draw_spread=draw_spread(draws),
    )


def _within_scale(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """Where 1 is the game's maximum, no interval reaches beyond it (nor below a gap of zero)."""
    if study.info.normalization != "maximum":
        return table
    gap = table["statistic"] == "optimality_gap" if "statistic" in table else pd.Series(data=False, index=table.index)
    highs = {name: table[name].where(gap, table[name].clip(upper=1.0)) for name in ("high", "percentile_high")}
    lows = {name: table[name].where(~gap, table[name].clip(lower=0.0)) for name in ("low", "percentile_low")}
    return table.assign(**highs, **lows)


def _comparison(study: Study, seed: int) -> pd.DataFrame:
    if study.baseline is None:
        return pd.DataFrame(columns=COMPARISON_COLUMNS)
    table = compare(study.scores, study.baseline, seed)
    return table if study.yardstick else table[table["statistic"] == "probability_of_improvement"]


def _ladder(study: Study, seed: int) -> pd.DataFrame:
    """Variants against the primary method, where there are any beside it and the baseline."""
    primary = primary_method(study)
    variants = [name for name in study.learners if name not in (primary, study.baseline)]
    if primary is None or primary == study.baseline or not variants:
        return pd.DataFrame(columns=COMPARISON_COLUMNS)
    others = [name for name in study.learners if name != primary]
    return compare(study.scores[study.scores["method"].isin([primary, *others])], primary, seed)
