"""The end of a run: its rows become `report.html`; on a cluster, a job collects the rows first.

`python -m xtra.results.finish REQUEST`. The request holds the plan's cells, so a suite edited since then changes nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from xtra.results.collect import collect
from xtra.results.describe import RunDescription
from xtra.store.files import write_text_atomically
from xtra.store.rows import Cell
from xtra.store.store import Store


class FinishRequest(BaseModel):
    """The rows to collect, and where to. Paths are absolute: the job starts in a directory of its own."""

    store: Path
    run_dir: Path
    cells: tuple[Cell, ...]
    description: RunDescription


def write_request(path: Path, store: Store, cells: Sequence[Cell], description: RunDescription, run_dir: Path) -> None:
    """Writes down what a later `finish` is to collect."""
    request = FinishRequest(store=store.root.resolve(), run_dir=run_dir.resolve(), cells=tuple(cells), description=description)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomically(path, request.model_dump_json(indent=1))


def finish(path: Path) -> Path:
    """Collects and reports the run that the request in a file names. Returns the report's path."""
    request = FinishRequest.model_validate_json(path.read_bytes())
    collect(Store(request.store), request.cells, request.description, request.run_dir)
    return report([request.run_dir])


def report(runs: Sequence[Path], out: Path | None = None, seed: int = 0) -> Path:
    """Writes the report of one or more run directories into `out` (default: the first run) and returns the page's path.

    Raises xtra_analysis.InputError, a ValueError, with a message that names file and remedy.
    """
    from xtra_analysis.report import write_report  # pandas and seaborn take seconds to import

    return write_report(runs, runs[0] if out is None else out, seed)


def main() -> int:
    print(finish(Path(sys.argv[1])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
