"""Collection of a run: from committed outputs to the tables of `xtra.store.rows`, and the record of what was asked.

Reads the store alone, so it can be done at any time, by anyone, and again: the rows depend on results only. A cell without a
result is a row that says so.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from xtra.results.describe import RunDescription
from xtra.results.run_record import PLAN_FILE, RECORD, Provenance, RunRecord, earlier_seeds
from xtra.store.files import SECONDS_FILE, StoreError, json_text, write_text_atomically
from xtra.store.job import Job
from xtra.store.manifest import Manifest
from xtra.store.provenance import software
from xtra.store.rows import (
    CELL,
    COSTS,
    CURVES,
    DIAGNOSTICS,
    EPISODES,
    PLASTICITY,
    PROBES,
    SCORES,
    SOURCE_SCORES,
    TASK_WEIGHTS,
    Cell,
    CsvTable,
    to_csv,
)
from xtra.store.store import State, Store

Row = dict[str, Any]


def collect(store: Store, cells: Sequence[Cell], description: RunDescription, run_dir: Path) -> dict[Cell, str]:
    """Writes the run's directory. Returns the status of each cell (see `xtra.store.rows.Status`)."""
    reader = _Reader(store)
    results = [_CellResult(reader, cell) for cell in cells]
    run_dir.mkdir(parents=True, exist_ok=True)
    tables: tuple[tuple[CsvTable, Iterable[Row]], ...] = (
        (SCORES, [result.score_row() for result in results]),
        (EPISODES, (row for result in results for row in result.rows("evaluate", "episodes.json"))),
        (CURVES, (row for result in results for row in result.rows("train", "curve.json"))),
        (TASK_WEIGHTS, (row for result in results for row in result.rows("train", "task_weights.json"))),
        (PLASTICITY, (row for result in results for row in result.rows("train", "plasticity.json"))),
        (DIAGNOSTICS, (row for result in results for row in result.rows("train", "diagnostics.json"))),
        (PROBES, (row for result in results for row in result.probe_rows())),
        (COSTS, _costs(reader, cells)),
        (SOURCE_SCORES, _source_scores(reader, results)),
    )
    for table, rows in tables:
        write_text_atomically(run_dir / table.file_name, to_csv(table, rows))
    write_text_atomically(run_dir / "suite.yaml", description.suite_text)
    write_text_atomically(run_dir / PLAN_FILE, json_text(description.plan))
    write_text_atomically(run_dir / RECORD, json_text(_run_record(reader, cells, description, run_dir)))
    return {result.cell: result.status for result in results}


class _Reader:
    """Reads the store; every job is read, and every output verified, once however often it is asked for."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.job = cache(store.job)
        self.whole = cache(self._whole)

    def _whole(self, key: str) -> Manifest | None:
        """Returns the manifest of a job whose output is undamaged."""
        try:
            return self.store.verify(key, quick=True)
        except StoreError:
            return None

    def output(self, key: str, file_name: str) -> Any:
        """Returns the JSON that a complete job left; None if there is none."""
        manifest = self.whole(key)
        if manifest is None or manifest.status != "complete" or file_name not in manifest.files:
            return None
        return json.loads((self.store.out(key) / file_name).read_bytes())

    def ancestry(self, key: str) -> list[Job]:
        """Returns the job and every job it depends on, as far as the store knows them; each once, inputs after those that read
        them."""
        jobs: dict[str, Job] = {}
        pending = [key]
        while pending:
            key = pending.pop()
            if key not in jobs:
                try:
                    jobs[key] = self.job(key)
                except StoreError:
                    continue
                pending += jobs[key].input_keys
        return list(jobs.values())


class _CellResult:
    """The results in the store for one cell."""

    def __init__(self, reader: _Reader, cell: Cell) -> None:
        self._reader = reader
        self.cell = cell
        self._manifests = {"evaluate": reader.whole(cell.evaluate_key)}
        if cell.train_key is not None:
            self._manifests["train"] = reader.whole(cell.train_key)
        self.status = self._status()

    def score_row(self) -> Row:
        evaluated = self._output("evaluate", "summary.json") or {} if self.status == "complete" else {}
        trained = self._output("train", "summary.json") or {}
        return self.identity() | {
            "status": self.status,
            "score": evaluated.get("score"),
            "score_rule": evaluated.get("score_rule"),
            "num_episodes": evaluated.get("num_episodes"),
            "env_steps": trained.get("env_steps"),
            "updates": trained.get("updates"),
            "train_key": self.cell.train_key,
            "evaluate_key": self.cell.evaluate_key,
        }

    def rows(self, role: str, file_name: str) -> Iterator[Row]:
        """Yields the rows that a job left as a JSON list, each with the cell's columns; none when the job is not complete."""
        for row in self._output(role, file_name) or ():
            yield self.identity() | row

    def probe_rows(self) -> Iterator[Row]:
        """Yields the measurements made before finetuning, with the seconds that they took."""
        seconds = self._output("probe", SECONDS_FILE) or {}
        for row in self.rows("probe", "probes.json"):
            yield row | {"seconds": seconds[row["predictor"]]}

    def identity(self) -> Row:
        """Returns the columns that name the cell."""
        return {column: getattr(self.cell, column) for column in CELL}

    def _output(self, role: str, file_name: str) -> Any:
        keys = {"evaluate": self.cell.evaluate_key, "train": self.cell.train_key, "probe": self.cell.probe_key}
        key = keys[role]
        return None if key is None else self._reader.output(key, file_name)

    def _status(self) -> str:
        """Returns diverged or failed if any job it depends on is; complete if its evaluation is."""
        statuses = {manifest.status for manifest in self._manifests.values() if manifest is not None}
        if "diverged" in statuses:
            return "diverged"
        evaluated = self._manifests["evaluate"]
        if evaluated is not None:
            return evaluated.status
        now = time.time()
        standing = (job.key for key in self.cell.keys for job in self._reader.ancestry(key))
        states = {self._reader.store.state(key, now) for key in standing}
        return "diverged" if State.DIVERGED in states else "failed" if State.FAILED in states else "missing"


def _source_scores(reader: _Reader, results: Sequence[_CellResult]) -> Iterator[Row]:
    """Yields the scores, on its own games, of the pretrained network that a cell starts from."""
    known: dict[str, list[Row]] = {}
    for result in results:
        for job in reader.ancestry(result.cell.evaluate_key):
            if job.stage == "pretrain":
                if job.key not in known:
                    known[job.key] = list(_scores_of_pretrained(reader, job))
                yield from (result.identity() | row for row in known[job.key])


def _scores_of_pretrained(reader: _Reader, job: Job) -> Iterator[Row]:
    scores = reader.output(job.key, "source_scores.json") or ()
    for row, dataset in zip(scores, job.inputs["dataset"], strict=False):
        (run,) = reader.job(dataset).inputs.get("train", (None,))
        curve = None if run is None else reader.output(run, "curve.json")
        yield row | {"data_score": curve[-1]["score"] if curve else None, "pretrain_key": job.key}


def _costs(reader: _Reader, cells: Sequence[Cell]) -> Iterator[Row]:
    standing = {cell: reader.ancestry(cell.evaluate_key) for cell in cells}
    sharers = Counter(job.key for jobs in standing.values() for job in jobs)
    manifests = {key: reader.whole(key) for key in sharers}
    for cell, jobs in standing.items():
        for job in jobs:
            manifest = manifests[job.key]
            if manifest is not None:
                yield {
                    "method": cell.method,
                    "game": cell.game,
                    "seed": cell.seed,
                    "stage": job.stage,
                    "key": job.key,
                    "seconds": manifest.seconds,
                    "device": manifest.provenance["hardware"]["device"],
                    "sharers": sharers[job.key],
                }


def _run_record(reader: _Reader, cells: Sequence[Cell], description: RunDescription, run_dir: Path) -> Row:
    """Makes `run.json`. Collected again, a run keeps the time at which it was first written."""
    collector = software()
    outputs = (reader.whole(key) for key in dict.fromkeys(key for cell in cells for key in cell.keys))
    manifests = [manifest for manifest in outputs if manifest is not None]
    provenance = Provenance(
        xtra_version=collector["packages"]["xtra-bench"],
        torch=collector["packages"]["torch"],
        **{name: collector[name] for name in ("git_commit", "git_dirty", "python", "platform")},
        made_by=tuple(sorted({_software(manifest.provenance) for manifest in manifests})),
        hardware=tuple(sorted({_hardware(manifest.provenance["hardware"]) for manifest in manifests})),
        created=_created(run_dir) or datetime.now(UTC).isoformat(timespec="seconds"),
        suite_text=description.suite_text,
    )
    earlier = earlier_seeds(run_dir, description.fields, _created(run_dir))
    return RunRecord(**dict(description.fields), earlier_seeds=earlier, provenance=provenance).model_dump(mode="json")


def _software(facts: Mapping[str, Any]) -> str:
    """Describes the software that computed a job, in a sentence."""
    packages = facts.get("packages", {})
    versions = ", ".join(f"{name} {packages.get(name) or 'not known'}" for name in ("xtra-bench", "torch"))
    changed = " with uncommitted changes" if facts.get("git_dirty") else ""
    return f"{versions}, commit {facts.get('git_commit') or 'not known'}{changed}, Python {facts.get('python', 'not known')}"


def _hardware(machine: Mapping[str, Any]) -> str:
    """Describes the machine that computed a job, in a sentence."""
    return "{cpu}, {cores} cores, {memory_gb} GB, device {device}".format_map(machine)


def _created(run_dir: Path) -> Any:
    try:
        return json.loads((run_dir / RECORD).read_bytes())["provenance"]["created"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
