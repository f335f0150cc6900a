"""Makes `examples/synthetic_study`: the report of a whole study (10 games × 12 methods × 5 seeds) from invented rows.

    python examples/make_synthetic_report.py [DIRECTORY]

It shows what a report looks like before one owns a cluster. Nothing in it was trained, and every screen of it says so.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from xtra_analysis import write_report
from xtra_analysis.synthetic import write_synthetic_run

OUT = Path(__file__).parent / "synthetic_study"


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else OUT
    with tempfile.TemporaryDirectory() as scratch:
        run = write_synthetic_run(Path(scratch) / "synthetic")
        print(write_report([run], out))


if __name__ == "__main__":
    main()
