"""Result rows: the tables a suite run leaves, their columns, and how they are read and written.

One CSV file per table under `results/runs/<run>/`. Returns are raw; normalising and averaging happen in `xtra_analysis` alone.
Rows come in a fixed order and hold no time, path or duration (except `costs`), so equal results are equal files.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 1
"""Written into `run.json`; raised when a column changes meaning."""

STATUSES = ("complete", "diverged", "failed", "missing")
"""Of a cell. `complete` alone has a score that counts; the others are shown by name."""


@dataclass(frozen=True)
class Cell:
    """One method on one game with one seed, and the jobs that its row is read from.

    `protocol` is the row's label (see `xtra.protocol.protocols.Protocol.label`), `agent` the configuration class's name.

    train_key: the job whose network is scored; None for an agent that is not trained.
    evaluate_key: the job that leaves the cell's episodes.
    """

    suite: str
    suite_version: int
    protocol: str
    method: str
    agent: str
    game: str
    seed: int
    train_key: str | None
    evaluate_key: str

    @property
    def name(self) -> str:
        """`method/game/seed`, what `--only` is matched against."""
        return f"{self.method}/{self.game}/{self.seed}"

    @property
    def keys(self) -> tuple[str, ...]:
        """Its jobs, in the order they run."""
        return (self.evaluate_key,) if self.train_key is None else (self.train_key, self.evaluate_key)

    def matches(self, glob: str) -> bool:
        """Whether `method`, `method/game` or `method/game/seed`, each part with `*`, `?` and `[...]`, is this one."""
        parts, own = glob.split("/"), (self.method, self.game, str(self.seed))
        return len(parts) <= len(own) and all(fnmatchcase(value, part) for value, part in zip(own, parts, strict=False))


@dataclass(frozen=True)
class Table:
    """A kind of row. `columns` maps each column to its type, in file order; `key` names the columns that identify a row."""

    name: str
    columns: Mapping[str, type]
    key: tuple[str, ...]

    @property
    def file_name(self) -> str:
        return f"{self.name}.csv"


CELL = {"suite": str, "suite_version": int, "protocol": str, "method": str, "agent": str, "game": str, "seed": int}
CELL_KEY = ("protocol", "method", "game", "seed")

SCORES = Table(
    "scores",
    CELL
    | {
        "status": str,
        "score": float,
        "score_rule": str,
        "num_episodes": int,
        "env_steps": int,
        "updates": int,
        "train_key": str,
        "evaluate_key": str,
    },
    CELL_KEY,
)
"""One row per cell. `score` is empty unless `status` is complete; `train_key` is empty for an agent that is not trained."""

EPISODES = Table(
    "episodes",
    CELL | {"episode": int, "episode_return": float, "episode_env_steps": int, "truncated": bool},
    (*CELL_KEY, "episode"),
)
"""One row per evaluation episode: its raw undiscounted return, its length, and whether the protocol's cap cut it."""

CURVES = Table(
    "curves",
    CELL | {"env_steps": int, "updates": int, "score": float, "num_episodes": int},
    (*CELL_KEY, "env_steps"),
)
"""One row per evaluation during training."""

COSTS = Table(
    "costs",
    {"method": str, "game": str, "seed": int, "stage": str, "key": str, "seconds": float, "device": str, "sharers": int},
    ("method", "game", "seed", "key"),
)
"""One row per (cell, job it stands on): how long the job took, on what; `sharers` cells of this run stand on the same job."""

TASK_WEIGHTS = Table(
    "task_weights",
    CELL | {"source_game": str, "updates": int, "weight": float, "gradient_similarity": float},
    (*CELL_KEY, "source_game", "updates"),
)
"""One row per measurement of a cross-task's weight in finetuning."""

SOURCE_SCORES = Table(
    "source_scores",
    CELL | {"source_game": str, "score": float, "num_episodes": int, "data_score": float, "pretrain_key": str},
    (*CELL_KEY, "source_game"),
)
"""One row per (cell, game that its network was pretrained on): what the pretrained network scores there, before any finetuning.

data_score: the last point of the learning curve of the run whose data it learned from; empty for random play.
"""

TABLES = (SCORES, EPISODES, CURVES, COSTS, TASK_WEIGHTS, SOURCE_SCORES)


def to_csv(table: Table, rows: Iterable[Mapping[str, Any]]) -> str:
    """The rows as CSV text, sorted by the table's key. Raises ValueError for a row whose columns are not the table's."""
    ordered = sorted(rows, key=lambda row: tuple(row[column] for column in table.key))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(table.columns), lineterminator="\n")
    writer.writeheader()
    for row in ordered:
        if set(row) != set(table.columns):
            raise ValueError(f"table {table.name}: columns {sorted(row)} instead of {sorted(table.columns)}")
        writer.writerow({column: _format(row[column]) for column in table.columns})
    return buffer.getvalue()


def read_csv(table: Table, path: Path) -> list[dict[str, Any]]:
    """The rows of a file written by `to_csv`; an empty cell is None. Raises ValueError naming the column at fault."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames is None:
            raise ValueError("is empty")
        if set(reader.fieldnames) != set(table.columns):
            raise ValueError(f"columns {reader.fieldnames} instead of {list(table.columns)}")
        return [{c: _parse(row[c], t, c) for c, t in table.columns.items()} for row in reader]


def _format(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


def _parse(text: str, kind: type, column: str) -> Any:
    if text == "":
        return "" if kind is str else None
    if kind is bool:
        return text == "true"
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"column {column}: {text!r} is not of type {kind.__name__}") from None
