"""The end of a run where nobody waits for it: collects the rows and makes the report, from a file that says of what.

`python -m xtra.execute.conclude REQUEST`. The request holds the plan's cells, so a suite edited since then changes nothing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from xtra.stages.collect import About, collect
from xtra.stages.report import report
from xtra.store.files import write_json
from xtra.store.rows import Cell
from xtra.store.store import Store


def write_request(path: Path, store: Store, cells: Sequence[Cell], about: About, run_dir: Path) -> None:
    """Writes down what to collect, and where to. Paths are absolute: the job starts in a directory of its own."""
    record = {
        "store": str(store.root.resolve()),
        "run_dir": str(run_dir.resolve()),
        "cells": [asdict(cell) for cell in cells],
        "about": asdict(about),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, record)


def conclude(request: Path) -> Path:
    """Collects and reports. Returns the report's path."""
    record = json.loads(request.read_bytes())
    run_dir = Path(record["run_dir"])
    collect(Store(Path(record["store"])), [Cell(**cell) for cell in record["cells"]], About(**record["about"]), run_dir)
    return report([run_dir])


def main() -> int:
    print(conclude(Path(sys.argv[1])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
