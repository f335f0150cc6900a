"""Every method against the baseline, over all games and in each."""

from __future__ import annotations

from xtra_analysis import figures
from xtra_analysis.content import Column, Paragraph, Picture, Section, Table
from xtra_analysis.findings import Findings
from xtra_analysis.formatting import listed, number, probability, span
from xtra_analysis.sections.cells import GAMES, METHOD, SEEDS, estimate_columns, sample_text, spoken, wide_estimates

STATISTICS = {
    "mean_ratio": "Mean ratio",
    "median_ratio": "Median ratio",
    "iqm_ratio": "IQM ratio",
    "probability_of_improvement": "P(better)",
}


def comparison(findings: Findings) -> Section | None:
    """Ratios to the baseline, probability of improvement, and the ratio in each game."""
    if findings.comparison.empty:
        return None
    baseline = str(findings.study.baseline)
    blocks: list[Table | Picture | Paragraph] = [Paragraph(_lead(findings, baseline)), *_warnings(findings)]
    if len(findings.comparison[findings.comparison["statistic"] == "mean_ratio"]):
        blocks.append(_overall(findings, baseline))
    blocks.append(_table(findings))
    if findings.game_ratios["estimate"].notna().any():
        blocks.append(_heat_map(findings, baseline))
        blocks.append(_game_table(findings))
    return Section("comparison", f"Compared with {baseline}", blocks)


def _lead(findings: Findings, baseline: str) -> str:
    if findings.study.yardstick is None:
        return (
            f"P(better) is the chance that a run of the method beats a run of {baseline} on the same game; games count equally."
        )
    return (
        f"In each game a method's mean score is divided by {baseline}'s; games count equally. Both are resampled, so the "
        f"intervals hold the uncertainty of {baseline} too."
    )


def _warnings(findings: Findings) -> list[Paragraph]:
    ratios = findings.game_ratios
    unstable = sorted(set(ratios.loc[ratios["unstable"], "game"]))
    undefined = sorted(set(ratios.loc[ratios["low"].isna() & ratios["unstable"], "game"]))
    notes = []
    if undefined:
        notes.append(f"Not every run of the baseline is above zero in {listed(undefined)}: left out of ratios over games.")
    if set(unstable) - set(undefined):
        names = listed(sorted(set(unstable) - set(undefined)))
        notes.append(f"Unstable ratios, because the baseline's own 95 % interval reaches zero: {names}. Read them with care.")
    return [Paragraph(note, warning=True) for note in notes]


def _overall(findings: Findings, baseline: str) -> Picture:
    ratios = findings.comparison[findings.comparison["statistic"] == "mean_ratio"]
    return Picture(
        "comparison",
        figures.comparison(findings.comparison),
        f"Points with intervals: mean ratio to {baseline} and probability of doing better than it. Ratios: {spoken(ratios)}",
        f"Left: mean over games of the ratio to {baseline}; beyond the dashed line is better. Right: chance that a run of the "
        f"method beats a run of {baseline} on the same game. Thin line: 95 % interval that allows for few seeds; thick: "
        f"rliable's. {sample_text(ratios)}",
    )


def _table(findings: Findings) -> Table:
    wide = wide_estimates(findings.comparison)
    tests = findings.comparison.dropna(subset=["p_value"])[["method", "p_value", "p_holm"]]
    columns = [METHOD]
    for statistic, heading in STATISTICS.items():
        if f"{statistic}_estimate" in wide:
            columns += estimate_columns(statistic, heading)
    columns += [
        Column("p", lambda row: probability(row.p_value)),
        Column("p, corrected", lambda row: probability(row.p_holm)),
        SEEDS,
        GAMES,
    ]
    notes = [
        "p: stratified permutation test of the ranks on which P(better) is built, exact at any number of seeds. "
        "Corrected: Holm's method, for all methods compared here. The CSV file has rliable's intervals too."
    ]
    if findings.study.yardstick:
        notes.append("A mean of ratios leans upwards, by about (relative spread)² / seeds; the 95 % interval allows for it.")
    frame = wide.merge(tests, on="method", how="left")
    title = "Ratios and probability of improvement" if findings.study.yardstick else "Probability of improvement"
    return Table("comparison", title, frame, columns, notes, csv=findings.comparison)


def _heat_map(findings: Findings, baseline: str) -> Picture:
    return Picture(
        "game_ratios",
        figures.game_ratios(findings.game_ratios),
        f"Heat map of methods by games: mean score divided by {baseline}'s, orange above one, purple below.",
        f"Score over {baseline}'s in each game. Orange is better, purple worse; a star marks an unstable ratio.",
    )


def _game_table(findings: Findings) -> Table:
    columns = [
        Column("Game", lambda row: row.game, numeric=False),
        METHOD,
        Column("Ratio", lambda row: number(row.estimate)),
        Column("95 % interval", lambda row: span(row.low, row.high)),
        Column("Seeds", lambda row: f"{row.num_runs} / {row.num_baseline_runs}"),
        Column("", lambda row: "unstable" if row.unstable else "", numeric=False),
    ]
    primary = findings.game_ratios[findings.game_ratios["method"] == findings.primary]
    notes = [f"{findings.primary} alone; the CSV file has every method. Seeds: of the method / of the baseline."]
    return Table("game_ratios", "Ratio in each game", primary, columns, notes, csv=findings.game_ratios)
