"""Seeds added later are looks at the data: which seeds of the same experiments had results before this run.

Whoever adds seeds because the first ones did not settle the question tests twice. The report corrects its tests for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from xtra.results.run_record import RunFields, RunRecord, read_run_record
from xtra.store.rows import SCORES, read_csv

Seeds = tuple[int, ...]


def earlier_seeds(run_dir: Path, run: RunFields, created: str | None) -> tuple[Seeds, ...]:
    """Returns the seeds of each earlier run beside `run_dir` that has a score of the same experiment, the oldest first, each set
    once.

    created: when the run was first collected; None if that is now. Looks that `run_dir` recorded already stay, should those runs
    be gone.
    """
    recorded = _recorded(run_dir)
    earlier = sorted(
        (record.provenance.created or "", record.seeds)
        for path, record in _runs_beside(run_dir)
        if _is_same_experiment(record, run) and _is_before(record, created) and _has_scores(path)
    )
    return tuple(dict.fromkeys([*recorded, *(seeds for _, seeds in earlier if seeds != run.seeds)]))


def _recorded(run_dir: Path) -> tuple[Seeds, ...]:
    try:
        return read_run_record(run_dir).earlier_seeds
    except (OSError, ValueError):
        return ()


def _runs_beside(run_dir: Path) -> Iterator[tuple[Path, RunRecord]]:
    """Yields the other runs of the directory. Those that another release wrote, or that cannot be read, are skipped."""
    for path in sorted(run_dir.parent.glob("*/run.json")):
        if path.parent.name != run_dir.name:
            try:
                yield path.parent, read_run_record(path.parent)
            except (OSError, ValueError):
                continue


def _is_before(record: RunRecord, created: str | None) -> bool:
    return created is None or (record.provenance.created or "") < created


def _is_same_experiment(earlier: RunFields, run: RunFields) -> bool:
    """Tells whether both ask the same of one method at least that is not the baseline; of the baseline, if there is no other."""
    if (earlier.suite, earlier.suite_version, earlier.protocol) != (run.suite, run.suite_version, run.protocol):
        return False
    known = {method.name: method for method in earlier.methods}
    challengers = [method for method in run.methods if method.name != run.baseline and method.agent != "random"]
    return any(
        method.name in known
        and known[method.name].agent == method.agent
        and getattr(known[method.name].identity, "digest", None) == getattr(method.identity, "digest", None)
        for method in challengers or run.methods
    )


def _has_scores(path: Path) -> bool:
    try:
        return any(row["status"] == "complete" for row in read_csv(SCORES, path / SCORES.file_name))
    except (OSError, ValueError):
        return False
