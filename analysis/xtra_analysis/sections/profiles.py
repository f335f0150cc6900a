"""Performance profiles."""

from __future__ import annotations

from xtra_analysis import figures
from xtra_analysis.content import Picture, Section
from xtra_analysis.findings import Findings
from xtra_analysis.sections.cells import sample_text


def profiles(findings: Findings) -> Section | None:
    """The share of runs above each score."""
    if findings.profiles.empty:
        return None
    picture = Picture(
        "profiles",
        figures.profiles(findings.profiles, findings.emphasis),
        "Step chart: share of runs that score above a threshold, over the threshold, one line per method.",
        "A curve that lies higher is better everywhere; curves that cross mean that the order of the methods depends on which "
        f"games or runs count. Bands: rliable's pointwise 95 %. {sample_text(findings.profiles)}",
    )
    return Section("profiles", "Performance profiles", [picture])
