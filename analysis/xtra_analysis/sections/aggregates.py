"""IQM, median, mean and optimality gap of each method."""

from __future__ import annotations

from xtra_analysis import figures
from xtra_analysis.content import Paragraph, Picture, Section, Table
from xtra_analysis.figures.aggregates import TITLES
from xtra_analysis.findings import Findings
from xtra_analysis.formatting import listed
from xtra_analysis.headline import NORMALIZED_MEANING
from xtra_analysis.sections.cells import GAMES, METHOD, SEEDS, estimate_columns, sample_text, spoken, wide_estimates


def aggregates(findings: Findings) -> Section | None:
    """The four aggregates, in a figure and a table."""
    if findings.estimates.empty:
        return None
    lead = f"Scores are normalized per game: {NORMALIZED_MEANING[findings.study.info.normalization]}."
    unknown = sorted(set(findings.study.complete.loc[findings.study.complete["normalized"].isna(), "game"]))
    if unknown:
        lead += f" Left out here, for want of such a reference: {listed(unknown)}."
    iqm = findings.estimates[findings.estimates["statistic"] == "iqm"]
    picture = Picture(
        "aggregates",
        figures.aggregates(findings.estimates),
        f"Points with intervals for four aggregates of the normalized score of each method. IQM: {spoken(iqm)}",
        "Thin line: 95 % interval that allows for few seeds. Thick line: rliable's percentile interval, too narrow at few seeds. "
        + sample_text(findings.estimates),
    )
    columns = [METHOD]
    for statistic, heading in TITLES.items():
        columns += estimate_columns(statistic, heading)
    notes = ["Seeds are per game. The CSV file has rliable's intervals too."]
    wide = wide_estimates(findings.estimates)
    table = Table("aggregates", "Aggregates", wide, [*columns, SEEDS, GAMES], notes, csv=findings.estimates)
    return Section("aggregates", "Aggregate scores", [Paragraph(lead), picture, table])
