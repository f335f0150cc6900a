"""Stage `report`: a run's rows become `report.html`. Made anew whenever it is asked for, so it is no job of the store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def report(runs: Sequence[Path], out: Path | None = None, seed: int = 0) -> Path:
    """Writes the report of one or more run directories into `out` (default: the first run) and returns the page's path.

    Raises xtra_analysis.InputError, a ValueError, with a message that names file and remedy.
    """
    from xtra_analysis.report import write_report  # pandas and seaborn take seconds to import

    return write_report(runs, runs[0] if out is None else out, seed)
