"""The first screen: one figure and one table."""

from __future__ import annotations

import pandas as pd

from xtra_analysis import figures
from xtra_analysis.content import Column, Paragraph, Picture, Section, Table
from xtra_analysis.findings import Findings
from xtra_analysis.formatting import counted, listed, number, span
from xtra_analysis.sections.cells import GAMES, METHOD, SEEDS, band_text, spoken


def overview(findings: Findings) -> Section:
    """What is missing, the figure that answers the question, and the table of methods."""
    blocks: list[Table | Picture | Paragraph] = [missing_line(findings), *incomplete_methods(findings)]
    if len(findings.estimates) or len(findings.relative_efficiency):
        blocks.append(_figure(findings))
    return Section("overview", "Overview", [*blocks, _table(findings)])


def missing_line(findings: Findings) -> Paragraph:
    """Which cells have no score, by name where there are few."""
    missing = findings.study.missing
    if missing.empty:
        return Paragraph(f"Nothing is missing: all {counted(len(findings.study.scores), 'run')} have a score.")
    names = [f"{row.method} on {row.game}, seed {row.seed} ({row.status})" for row in missing.head(4).itertuples()]
    more = f" and {len(missing) - 4} more, listed below" if len(missing) > 4 else ""
    return Paragraph(
        f"Missing: {len(missing)} of {counted(len(findings.study.scores), 'run')}: {'; '.join(names)}{more}.", warning=True
    )


def incomplete_methods(findings: Findings) -> list[Paragraph]:
    """A warning for each method without any score on a game that others have: its aggregates are of other games."""
    games = {name: set(part["game"]) for name, part in findings.study.complete.groupby("method", sort=False)}
    everywhere = set().union(*games.values())
    return [
        Paragraph(
            f"{name} has no score on {listed(sorted(everywhere - own))}; its aggregates are over other games than those of "
            "complete methods and cannot be compared with them.",
            warning=True,
        )
        for name, own in games.items()
        if own != everywhere
    ]


def _figure(findings: Findings) -> Picture:
    """The paper's Figure 1 where there is a baseline, else the learning curve, else the aggregate itself."""
    relative, points = findings.relative_efficiency, findings.efficiency
    if len(relative):
        baseline = str(findings.study.yardstick)
        return Picture(
            "overview",
            figures.sample_efficiency(
                relative, y_label=f"Mean score / {baseline} at the end", emphasis=findings.emphasis, reference=1.0
            ),
            f"Line chart: score divided by {baseline}'s final score over env steps, mean over games. "
            f"At the end: {spoken(relative)}",
            f"The paper's Figure 1: score over {baseline}'s final mean while learning, averaged over games. The dashed line is "
            f"where {baseline} ends. {band_text(relative)}",
            wide=False,
        )
    if len(points) and points.groupby("method")["env_steps"].nunique().max() > 1:
        return Picture(
            "overview",
            figures.sample_efficiency(points, emphasis=findings.emphasis),
            f"Line chart: interquartile mean of the normalized score over env steps. At the end: {spoken(points)}",
            f"IQM of the normalized score while learning. {band_text(points)}",
            wide=False,
        )
    iqm = findings.estimates[findings.estimates["statistic"] == "iqm"]
    return Picture(
        "overview",
        figures.aggregates(iqm),
        f"Points with intervals: interquartile mean of the normalized score. {spoken(iqm)}",
        "IQM of the normalized score. Thin line: 95 % interval that allows for few seeds; thick line: rliable's.",
        wide=False,
    )


def _table(findings: Findings) -> Table:
    iqm = findings.estimates[findings.estimates["statistic"] == "iqm"]
    ratios = findings.comparison[findings.comparison["statistic"] == "mean_ratio"]
    frame = pd.DataFrame({"method": findings.study.methods}).merge(iqm, on="method", how="left")
    frame = frame.merge(ratios[["method", "estimate", "low", "high"]], on="method", how="left", suffixes=("", "_ratio"))
    for column in ("min_runs", "max_runs", "num_games"):
        frame[column] = frame[column].astype("float64").fillna(0).astype(int)
    columns = [METHOD]
    if len(ratios):
        baseline = str(findings.study.baseline)
        columns += [
            Column(f"×\u00a0{baseline}", lambda row: "1" if row.method == baseline else number(row.estimate_ratio)),
            Column("95 % interval", lambda row: "" if row.method == baseline else span(row.low_ratio, row.high_ratio)),
        ]
    columns += [
        Column("IQM", lambda row: number(row.estimate)),
        Column("95 % interval", lambda row: span(row.low, row.high)),
    ]
    counts = [SEEDS, GAMES] if iqm["num_games"].nunique() > 1 else [SEEDS]
    known = int(iqm["num_games"].max()) if len(iqm) else 0
    partial = known < len(findings.study.info.games)
    notes = [f"IQM of the normalized score, over the {counted(known, 'game')} whose scale is known."] if known and partial else []
    return Table("overview", "Methods", frame, [*columns, *counts], notes)
