"""Computes everything a report states, once, from a study."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from xtra_analysis.aggregates import estimate
from xtra_analysis.comparison import COMPARISON_COLUMNS, compare, compare_variants
from xtra_analysis.equivalence import judge_each_game, judge_equivalence
from xtra_analysis.findings import Findings
from xtra_analysis.games import GAME_RATIO_COLUMNS, compare_games
from xtra_analysis.learning_curves import CURVE_COLUMNS, relative_efficiency, sample_efficiency
from xtra_analysis.missing import worst_case
from xtra_analysis.profiles import performance_profiles
from xtra_analysis.sources import draw_scores, draw_spread
from xtra_analysis.study import Study
from xtra_analysis.time_to_threshold import time_to_threshold
from xtra_analysis.transfer_matrix import transfer_matrix


def analyse(study: Study, seed: int = 0) -> Findings:
    """Makes all estimates of the study. `seed` decides the resamples: equal rows and seed give equal numbers.

    Of a run that proves the wiring nothing is estimated: a comparison of its scores would look like a result.
    """
    if study.record.proves == "wiring":
        return replace(_estimates(study.without_rows(), seed), study=study)
    return _estimates(study, seed)


def _estimates(study: Study, seed: int) -> Findings:
    ratio_baseline, curves, scores = study.ratio_baseline, study.tables["curves"], study.scores
    draws = draw_scores(study)
    nothing = pd.DataFrame(columns=CURVE_COLUMNS)
    return Findings(
        study=study,
        seed=seed,
        estimates=_within_scale(study, estimate(scores, seed=seed)),
        efficiency=_within_scale(study, sample_efficiency(curves, seed=seed)) if len(curves) else nothing,
        relative_efficiency=(
            relative_efficiency(curves, scores, ratio_baseline, seed=seed) if ratio_baseline and len(curves) else nothing
        ),
        comparison=_comparison(study, seed),
        game_ratios=compare_games(scores, ratio_baseline, seed) if ratio_baseline else pd.DataFrame(columns=GAME_RATIO_COLUMNS),
        ablations=_corrected_for_looks(study, compare_variants(study, seed)),
        equivalence=judge_equivalence(study),
        equivalence_by_game=judge_each_game(study),
        profiles=performance_profiles(scores, seed=seed),
        worst_case=worst_case(scores),
        time_to_threshold=time_to_threshold(curves, study.record.score_threshold, study.baseline, seed, study.looks),
        draws=draws,
        draw_spread=draw_spread(draws),
        transfer_matrix=transfer_matrix(study),
    )


def _within_scale(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """Clips intervals at the game's maximum where that is 1."""
    if not study.scale.bounded:
        return table
    gap = table["statistic"] == "optimality_gap" if "statistic" in table else pd.Series(data=False, index=table.index)
    return table.assign(**{name: table[name].where(gap, table[name].clip(upper=1.0)) for name in ("high", "percentile_high")})


def _comparison(study: Study, seed: int) -> pd.DataFrame:
    if study.baseline is None:
        return pd.DataFrame(columns=COMPARISON_COLUMNS)
    table = _corrected_for_looks(study, compare(study.scores, study.baseline, seed))
    return table if study.ratio_baseline else table[table["statistic"] == "probability_of_improvement"]


def _corrected_for_looks(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """Multiplies p-values by the number of looks at growing numbers of seeds: look k is tested at the level over k. Earlier looks
    were tested at more, so the chance of a false finding over k looks is at most the level times 1 + 1/2 + … + 1/k."""
    return table.assign(p_holm=(table["p_holm"] * study.looks).clip(upper=1.0))
