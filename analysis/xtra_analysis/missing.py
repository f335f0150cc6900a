"""Cells without a score: their names, and how far they could move the result."""

from __future__ import annotations

import pandas as pd

from xtra_analysis.aggregates import interquartile_mean
from xtra_analysis.columns import METHOD
from xtra_analysis.findings import Findings
from xtra_analysis.matrices import games_with_values, score_matrix
from xtra_analysis.page import Column, Paragraph, Section, Table
from xtra_analysis.text import NONE, counted, listed, number

SENSITIVITY_COLUMNS = ["method", "num_missing", "estimate", "worst", "best"]


def worst_case(scores: pd.DataFrame) -> pd.DataFrame:
    """Computes the IQM of each method with missing runs: as reported, and with them at the lowest and highest score of any run of
    the game."""
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


def missing_line(findings: Findings) -> Paragraph:
    """Tells which cells have no score, and which no run was asked for, by name where there are few."""
    missing, left_out = findings.study.missing, findings.study.left_out
    if missing.empty:
        num_runs = len(findings.study.scores)
        have = "the one run has" if num_runs == 1 else f"all {num_runs:,} runs have"
        nothing = "Nothing that was asked for is missing" if left_out else "Nothing is missing"
        return Paragraph(f"{nothing}: {have} a score.{_not_asked_for(left_out)}")
    names = [f"{row.method} on {row.game}, seed {row.seed} ({row.status})" for row in missing.head(4).itertuples()]
    more = f" and {len(missing) - 4} more, listed below" if len(missing) > 4 else ""
    line = f"Missing: {len(missing)} of {counted(len(findings.study.scores), 'run')}: {'; '.join(names)}{more}."
    return Paragraph(line + _not_asked_for(left_out), warning=True)


def _not_asked_for(left_out: list[tuple[str, str, int]]) -> str:
    """Says in a sentence what else the suite has, method by method and game by game; nothing where it has nothing else."""
    seeds: dict[tuple[str, str], list[int]] = {}
    for method, game, seed in left_out:
        seeds.setdefault((method, game), []).append(seed)
    names = [
        f"{method} on {game}, seed {own[0]}" if len(own) == 1 else f"{method} on {game}, {len(own)} seeds"
        for (method, game), own in seeds.items()
    ]
    others = sum(len(own) for own in list(seeds.values())[4:])
    more = f"; and {others} more" if others else ""
    whole = f" The suite has {counted(len(left_out), 'more run')}, not asked for: {'; '.join(names[:4])}{more}."
    return whole if left_out else ""


def incomplete_methods(findings: Findings) -> list[Paragraph]:
    """Warns of methods without any score on a game that others have: their aggregates are of other games. Where methods leave
    their own source games out it says so once."""
    if findings.study.record.proves == "wiring":
        return []
    games = {name: set(part["game"]) for name, part in findings.study.complete.groupby("method", sort=False)}
    everywhere = set().union(*games.values())
    left_out = {method.name: set(method.left_out) for method in findings.study.record.methods}
    planned = [name for name, own in games.items() if own != everywhere and own | left_out[name] >= everywhere]
    opening = [
        Paragraph(
            f"{listed(planned)} play all games but those that they come from, so their aggregates are over different games: "
            "compare them game by game."
        )
    ]
    lacking: dict[str, list[str]] = {}
    for name, own in games.items():
        if own != everywhere and (len(planned) == 1 or name not in planned):
            lacking.setdefault(listed(sorted(everywhere - own)), []).append(name)
    return opening * (len(planned) > 1) + [
        Paragraph(
            f"No score on {absent}: {listed(names)}. Their aggregates are over other games than those of complete methods, and "
            "cannot be compared with them.",
            warning=True,
        )
        for absent, names in lacking.items()
    ]


def worst_case_table(findings: Findings) -> Table:
    """Shows `worst_case`: how far missing runs could move each IQM."""
    columns = [
        METHOD,
        Column("Missing", lambda row: str(row.num_missing)),
        Column("IQM, as reported", lambda row: number(row.estimate)),
        Column("If they were the worst", lambda row: number(row.worst)),
        Column("If they were the best", lambda row: number(row.best)),
    ]
    notes = [
        "Worst and best: the lowest and highest score of any run of any method in the same game, which are no bounds where runs "
        f"are few. {NONE} where none is known."
    ]
    return Table("worst_case", "If missing runs had scored like the worst or the best", findings.worst_case, columns, notes)


def missing_section(findings: Findings) -> Section | None:
    """Lists the cells that are missing, failed or diverged."""
    frame = findings.study.missing[["method", "game", "seed", "status"]]
    if frame.empty:
        return None
    columns = [
        Column("Method", lambda row: row.method, numeric=False),
        Column("Game", lambda row: row.game, numeric=False),
        Column("Seed", lambda row: str(row.seed)),
        Column("Status", lambda row: row.status, numeric=False),
    ]
    return Section("missing", "What is missing", [Table("missing", "Runs without a score", frame, columns)])
