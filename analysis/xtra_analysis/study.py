"""Runs → one study: tidy frames, normalized scores, and which cells are missing.

Several runs of one protocol make one study (more seeds, more methods, or what another machine went on with); a directory of
runs stands for all of them. Runs of different protocols are refused: their scores measure different things.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from xtra.results.run_record import COLLECT_AGAIN, RECORD, MethodRecord, RunRecord, read_run_record
from xtra.store.rows import CELL_KEY, SCORES, TABLES, CsvTable, read_csv
from xtra_analysis.matrices import InputError
from xtra_analysis.normalization import Scale, run_scale
from xtra_analysis.tables_of_others import LARGEST_SCORE
from xtra_analysis.text import counted, label, printable, setting

RANDOM_AGENT = "random"
"""The agent that others are measured against, never an answer to a suite's question."""
OTHER_TARGETS = "other_targets"
"""Stands in place of source games: all targets but the one that is learned."""
PER_RUN_COLUMNS = ("suite", "suite_version", "sharers", "seconds", "device")
"""Columns that may differ between two runs that share a cell: its jobs were computed once for both, or by two machines, and the
oldest run's times count."""
WITHOUT_OUTCOME = ("failed", "missing")
"""Statuses of a cell that another run may have finished."""
MOST_DIFFERENCES = 3
"""Most differences between two methods of one name that an error lists."""


@dataclass(frozen=True)
class ScoresOrigin:
    """The origin of scores that no run of this package left: a name, and facts as pairs for the page."""

    name: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Study:
    """Everything a report needs. `tables` maps a table's name to its frame; `records` holds each run's `run.json`.

    origin: None for runs; scores of others have one, and a single record of what is known of them.
    """

    records: tuple[RunRecord, ...]
    tables: dict[str, pd.DataFrame]
    scale: Scale
    origin: ScoresOrigin | None = None

    @property
    def record(self) -> RunRecord:
        """The first run's, with the games, seeds and methods of all."""
        return self.records[0].model_copy(
            update={
                "games": tuple(dict.fromkeys(game for record in self.records for game in record.games)),
                "seeds": tuple(sorted({seed for record in self.records for seed in record.seeds})),
                "methods": tuple({method.name: method for record in self.records for method in record.methods}.values()),
                "baseline": next((record.baseline for record in self.records if record.baseline), None),
                "score_threshold": next((r.score_threshold for r in self.records if r.score_threshold is not None), None),
                "equivalence_margin": next((r.equivalence_margin for r in self.records if r.equivalence_margin), None),
                "synthetic": any(record.synthetic for record in self.records),
            }
        )

    def without_rows(self) -> Study:
        """Returns the same study before anything has run."""
        return replace(self, tables={name: frame.iloc[:0] for name, frame in self.tables.items()})

    @property
    def scores(self) -> pd.DataFrame:
        """One row per cell, planned ones without a result included, with column `normalized` (NaN where unknown)."""
        return self.tables["scores"]

    @property
    def complete(self) -> pd.DataFrame:
        """The cells that have a score."""
        return self.scores[self.scores["status"] == "complete"]

    @property
    def missing(self) -> pd.DataFrame:
        """The cells that have none: missing, failed or diverged."""
        return self.scores[self.scores["status"] != "complete"]

    @property
    def left_out(self) -> list[tuple[str, str, int]]:
        """The suite's cells that no run was asked for: method, game and seed."""
        asked_for = set(self.scores[["method", "game", "seed"]].itertuples(index=False, name=None))
        return [
            cell
            for cell in dict.fromkeys(cell for record in self.records for cell in record.cells_left_out)
            if cell not in asked_for
        ]

    @property
    def methods(self) -> list[str]:
        """Names in suite order."""
        return [method.name for method in self.record.methods]

    @property
    def learners(self) -> list[str]:
        """The methods that are not the random agent."""
        return [method.name for method in self.record.methods if method.agent != RANDOM_AGENT]

    @property
    def looks(self) -> int:
        """Counts how often growing sets of these seeds were tested, this time included."""
        seen: set[int] = set()
        looks = 0
        for seeds in (*self.earlier_seeds, self.record.seeds):
            looks += not seen.issuperset(seeds)
            seen.update(seeds)
        return max(1, looks)

    @property
    def earlier_seeds(self) -> tuple[tuple[int, ...], ...]:
        """The seeds of earlier runs of the same experiments, the oldest first."""
        return tuple(dict.fromkeys(seeds for record in self.records for seeds in record.earlier_seeds))

    @property
    def ratio_baseline(self) -> str | None:
        """The baseline, if it learns: a ratio to the score of a random agent would say little."""
        return self.baseline if self.baseline in self.learners else None

    @property
    def baseline(self) -> str | None:
        """The method that others are normalized by, where it has any score."""
        name = self.record.baseline
        return name if name in set(self.complete["method"]) else None


def load(run: Path | str | Sequence[Path | str], table: str = "scores") -> pd.DataFrame:
    """Loads a table of one or more runs as a tidy frame, one row per cell (or episode, …), returns raw.

    Tables with a column `score` have a column `normalized` too: 0 = random agent, 1 = human or the game's maximum, NaN for a
    game without such a reference. Raises InputError for what cannot be read.
    """
    runs = [run] if isinstance(run, Path | str) else list(run)
    study = read_study([Path(one) for one in runs])
    if table not in study.tables:
        raise InputError(f"no table {table!r}; there are {', '.join(study.tables)}")
    return study.tables[table].copy()


def runs_in(place: Path) -> list[Path]:
    """Returns the run directories that a place holds: itself if it is one, else those directly in it, by name; maybe none."""
    return [place] if (place / RECORD).is_file() else sorted(path.parent for path in place.glob(f"*/{RECORD}"))


def read_study(places: Sequence[Path]) -> Study:
    """Reads runs, and directories of runs, as one study. Raises InputError when they cannot be read or do not belong together."""
    if not places:
        raise InputError("no run given; name a directory such as results/runs/<suite>-<time>-<id>")
    record_of = {run: read_record(run) for place in places for run in runs_in(place) or [place]}
    # The oldest first: a report must not depend on the order in which runs are named.
    runs = sorted(
        record_of, key=lambda run: (record_of[run].provenance.created or "", record_of[run].model_dump_json(), str(run))
    )
    records = tuple(record_of[run] for run in runs)
    _refuse_mixture(runs, records)
    tables = {table.name: _read_table(runs, table) for table in TABLES}
    _check_scores(records, tables["scores"])
    tables["scores"] = _with_planned_cells(records, tables["scores"])
    # A job that two runs have in common has the sharers of both.
    tables["costs"]["sharers"] = tables["costs"].groupby("key")["key"].transform("size").astype("int64")
    tables = {name: _in_suite_order(records, frame) for name, frame in tables.items()}
    scale = run_scale(records[0].normalization)
    for name, game in (("scores", "game"), ("curves", "game"), ("source_scores", "source_game")):
        tables[name]["normalized"] = scale.normalize(tables[name][game], tables[name]["score"])
    return Study(records, tables, scale)


def _refuse_mixture(runs: Sequence[Path], records: Sequence[RunRecord]) -> None:
    """Raises InputError for runs that measure different things, or call different things by one name."""
    first, methods = records[0], dict[str, tuple[Path, MethodRecord]]()
    versions: dict[str, tuple[Path, int]] = {}
    thresholds = {record.score_threshold: run for run, record in zip(runs, records, strict=True)}
    thresholds.pop(None, None)
    if len(thresholds) > 1:
        counts = " and ".join(f"{score:g} ({run})" for score, run in thresholds.items())
        raise InputError(f"env steps are counted until different scores are reached: {counts}. Make one report for each.")
    margins = {record.equivalence_margin: run for run, record in zip(runs, records, strict=True) if record.equivalence_margin}
    if len(margins) > 1:
        named = " and ".join(f"{margin:g} ({run})" for margin, run in margins.items())
        raise InputError(f"methods are called equivalent within different margins: {named}. Make one report for each.")
    for run, record in zip(runs, records, strict=True):
        if record.protocol != first.protocol:
            raise InputError(
                f"{runs[0]} has protocol {first.protocol!r}, {run} has {record.protocol!r}: their scores measure different "
                "things and are never put together. Make one report for each."
            )
        earlier, version = versions.setdefault(record.suite, (run, record.suite_version))
        if record.suite_version != version:
            raise InputError(
                f"{earlier} is version {version} of suite {record.suite!r}, {run} version {record.suite_version}: "
                "a version is raised when results change meaning. Make one report for each."
            )
        for method in record.methods:
            earlier, known = methods.setdefault(method.name, (run, method))
            if difference := _difference(known, method):
                raise InputError(
                    f"{run}: method {method.name!r} is another experiment than in {earlier}: {difference}. "
                    "Rename one of them, or make one report for each."
                )


def _difference(known: MethodRecord, method: MethodRecord) -> str | None:
    """Returns what two methods of one name differ in, the first one's value first; None if they are one method."""
    if known.agent != method.agent:
        return f"agent is {known.agent} there and {method.agent} here"
    if known.identity is None or method.identity is None:
        return None if known.identity is method.identity else "only one of them records what it is"
    if known.identity.digest == method.identity.digest:
        return None
    facts = [
        f"{name} is {setting(there)} there and {setting(here)} here"
        for name, there, here in known.identity.differences(method.identity)
    ]
    more = f", and {counted(len(facts) - MOST_DIFFERENCES, 'more difference')}" if len(facts) > MOST_DIFFERENCES else ""
    return "; ".join(facts[:MOST_DIFFERENCES]) + more if facts else "their jobs differ (see plan.json)"


def _read_table(runs: Sequence[Path], table: CsvTable) -> pd.DataFrame:
    frames = []
    for run in runs:
        path = run / table.file_name
        try:
            frames.append(pd.DataFrame(read_csv(table, path), columns=list(table.columns)))
        except FileNotFoundError:
            if table.optional:
                frames.append(pd.DataFrame(columns=list(table.columns)))
                continue
            raise InputError(f"{run} has no {table.file_name}. {COLLECT_AGAIN}") from None
        except (ValueError, TypeError) as error:
            raise InputError(f"{path}: {error}. {COLLECT_AGAIN}") from error
    frame = pd.concat([part for part in frames if len(part)] or frames[:1], ignore_index=True)
    if table is SCORES:
        frame = _without_superseded(frame)
    frame = frame.drop_duplicates([column for column in table.columns if column not in PER_RUN_COLUMNS])
    clash = frame[frame.duplicated(list(table.key), keep=False)]
    if len(clash):
        row = clash.iloc[0]
        cell = ", ".join(f"{column} {row[column]}" for column in table.key)
        raise InputError(
            f"{table.file_name}: two different rows for {cell}. The runs overlap but disagree; give only one of them."
        )
    for column in table.columns_of(str):
        frame[column] = frame[column].map(label)
    return frame.astype(dict.fromkeys(table.columns_of(float), "float64")).sort_values(
        list(table.key), kind="stable", ignore_index=True
    )


def _without_superseded(scores: pd.DataFrame) -> pd.DataFrame:
    """Leaves out rows of cells that were not run, or failed, where another run has their outcome or tells more."""
    rank = scores["status"].map({status: place for place, status in enumerate(WITHOUT_OUTCOME, 1)}).fillna(0)
    return scores[rank == rank.groupby([scores[column] for column in CELL_KEY]).transform("min")]


def _check_scores(records: Sequence[RunRecord], scores: pd.DataFrame) -> None:
    """Refuses rows that `run.json` does not know, and complete cells without a score."""
    valid = {
        "protocol": {records[0].protocol},
        "method": {method.name for record in records for method in record.methods},
    }
    for column, names in valid.items():
        strange = sorted(set(scores[column]) - names)
        if strange:
            raise InputError(f"scores.csv: {column} {strange[0]!r} is none of {', '.join(sorted(names))}. {COLLECT_AGAIN}")
    hollow = scores[(scores["status"] == "complete") & ~np.isfinite(scores["score"])]
    if len(hollow):
        row = hollow.iloc[0]
        raise InputError(
            f"scores.csv: {row['method']} on {row['game']}, seed {row['seed']}, is complete but its score is {row['score']}. "
            f"{COLLECT_AGAIN}"
        )
    huge = scores[scores["score"].abs() > LARGEST_SCORE]
    if len(huge):
        row = huge.iloc[0]
        raise InputError(
            f"scores.csv: {row['method']} on {row['game']}, seed {row['seed']}, has score {row['score']:g}, "
            f"too large to be averaged. {COLLECT_AGAIN}"
        )


def _with_planned_cells(records: Sequence[RunRecord], scores: pd.DataFrame) -> pd.DataFrame:
    """Adds a row of status `missing` for each planned cell that has none."""
    present = set(scores[list(CELL_KEY)].itertuples(index=False, name=None))
    absent = {
        (record.protocol, method.name, game, seed): {
            "suite": record.suite,
            "suite_version": record.suite_version,
            "protocol": record.protocol,
            "method": method.name,
            "agent": method.agent,
            "game": game,
            "seed": seed,
            "status": "missing",
        }
        for record in records
        for left_out in [set(record.cells_left_out)]
        for method in record.methods
        for game in record.games
        for seed in record.seeds
        if game not in method.left_out and (method.name, game, seed) not in left_out
        if (record.protocol, method.name, game, seed) not in present
    }
    if not absent:
        return scores
    planned = pd.DataFrame(list(absent.values())).reindex(columns=scores.columns)
    both = pd.concat([scores, planned], ignore_index=True) if len(scores) else planned
    return both.astype({"score": "float64"}).sort_values(list(CELL_KEY), kind="stable", ignore_index=True)


def _in_suite_order(records: Sequence[RunRecord], frame: pd.DataFrame) -> pd.DataFrame:
    """Orders rows by method as the suite lists them; within a method the order stays."""
    order = {
        name: place for place, name in enumerate(dict.fromkeys(method.name for record in records for method in record.methods))
    }
    return frame.sort_values("method", key=lambda names: names.map(order), kind="stable", ignore_index=True)


def read_record(run: Path) -> RunRecord:
    """Reads `run/run.json`. Raises InputError that names the file, the key at fault and the remedy."""
    try:
        record = read_run_record(run)
    except ValueError as error:
        raise InputError(str(error)) from error
    content = _safe(record.model_dump(mode="json"))
    content["provenance"]["suite_text"] = printable(record.provenance.suite_text)
    return RunRecord.model_validate_json(json.dumps(content))


def _safe(value: Any) -> Any:
    """Returns the same JSON data with every text, keys included, as a label on one line."""
    if isinstance(value, str):
        return label(value)
    if isinstance(value, dict):
        return {label(key): _safe(item) for key, item in value.items()}
    return [_safe(item) for item in value] if isinstance(value, list) else value
