"""Everything a report states, computed once from a study."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from xtra_analysis.compare import COMPARISON_COLUMNS, compare, compare_games
from xtra_analysis.curves import CURVE_COLUMNS, sample_efficiency
from xtra_analysis.estimates import estimate
from xtra_analysis.study import Study


@dataclass(frozen=True)
class Findings:
    """The study and its estimates; frames are empty where there is nothing to estimate."""

    study: Study
    seed: int
    estimates: pd.DataFrame
    efficiency: pd.DataFrame
    comparison: pd.DataFrame
    game_ratios: pd.DataFrame

    @property
    def primary(self) -> str | None:
        """The method the question is about: the first that learns and is not the baseline."""
        scored = set(self.study.complete["method"])
        names = [name for name in self.study.learners if name != self.study.baseline and name in scored]
        alone = [name for name in self.study.methods if name in scored]
        return next(iter(names or alone), None)

    def estimate(self, method: str, statistic: str) -> pd.Series | None:
        """The row of one method and statistic of `estimate` or `compare`, or None."""
        for table in (self.estimates, self.comparison):
            found = table[(table["method"] == method) & (table["statistic"] == statistic)]
            if len(found):
                return found.iloc[0]
        return None


def find(study: Study, seed: int = 0) -> Findings:
    """All estimates of the study. `seed` decides the resamples: equal rows and seed give equal numbers."""
    baseline = study.baseline
    curves = study.tables["curves"]
    return Findings(
        study=study,
        seed=seed,
        estimates=estimate(study.scores, seed=seed),
        efficiency=sample_efficiency(curves, seed=seed) if len(curves) else pd.DataFrame(columns=CURVE_COLUMNS),
        comparison=compare(study.scores, baseline, seed) if baseline else pd.DataFrame(columns=COMPARISON_COLUMNS),
        game_ratios=compare_games(study.scores, baseline, seed) if baseline else pd.DataFrame(),
    )
