"""Result rows: the tables a suite run leaves, their columns, and how they are read and written.

One CSV file per table under `results/runs/<run>/`. Returns are raw; normalizing and averaging happen in `xtra_analysis` alone.
Rows come in a fixed order and hold no time, path or duration (except `costs` and `probes`), so equal results are equal files.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

Status = Literal["complete", "diverged", "failed", "missing"]
"""State of a cell. `complete` alone has a score that counts; the others are listed by name."""

LARGEST_INTEGER = 2**63 - 1
"""Largest whole number that a column can hold, in memory as in Parquet."""


def _empty_is_none(value: Any) -> Any:
    return None if value == "" else value


Whole = Annotated[int, Field(ge=0, le=LARGEST_INTEGER)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
OptionalWhole = Annotated[Whole | None, BeforeValidator(_empty_is_none)]
OptionalFloat = Annotated[float | None, BeforeValidator(_empty_is_none)]
OptionalFinite = Annotated[Finite | None, BeforeValidator(_empty_is_none)]


@dataclass(frozen=True)
class Cell:
    """One method on one game with one seed, and the jobs that its row is read from.

    `protocol` is the row's label (see `xtra.protocol.families.Protocol.label`), `agent` the configuration class's name.

    train_key: the job whose network is scored; None for an agent that is not trained.
    evaluate_key: the job that leaves the cell's episodes.
    probe_key: the job that measured what foretells its transfer; None where nothing was asked.
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
    probe_key: str | None = None

    @property
    def name(self) -> str:
        """`method/game/seed`, what `--only` is matched against."""
        return f"{self.method}/{self.game}/{self.seed}"

    @property
    def keys(self) -> tuple[str, ...]:
        """Its jobs' keys, in the order they run."""
        return tuple(key for key in (self.probe_key, self.train_key, self.evaluate_key) if key is not None)

    @property
    def identity(self) -> dict[str, Any]:
        """Its fields; `probe_key` only where there is one."""
        fields = asdict(self)
        return fields if self.probe_key is not None else {name: fields[name] for name in fields if name != "probe_key"}

    def matches(self, glob: str) -> bool:
        """Tells whether `method`, `method/game` or `method/game/seed` is this one: each part literally, or by `*`, `?`,
        `[...]`."""
        parts, own = glob.split("/"), (self.method, self.game, str(self.seed))
        pairs = zip(own, parts, strict=False)
        return len(parts) <= len(own) and all(value == part or fnmatchcase(value, part) for value, part in pairs)


def select_cells(cells: Iterable[Cell], pattern: str) -> list[Cell]:
    """Returns the cells that a pattern names literally (a method may be called `C [x]`); if there are none, those that it
    matches."""
    candidates = [cell for cell in cells if cell.matches(pattern)]
    methods = {cell.method for cell in candidates}
    literal = pattern.partition("/")[0]
    return [cell for cell in candidates if cell.method == literal] if literal in methods else candidates


class CellRow(BaseModel):
    """The columns that name a cell. `protocol` is the label of the protocol with its overrides."""

    model_config = ConfigDict(extra="forbid")

    suite: str
    suite_version: Whole
    protocol: str
    method: str
    agent: str
    game: str
    seed: Whole


class ScoreRow(CellRow):
    """One row per cell. `score` is empty unless `status` is complete; `train_key` is empty for an agent that is not trained."""

    status: Status
    score: OptionalFloat
    score_rule: str
    num_episodes: OptionalWhole
    env_steps: OptionalWhole
    updates: OptionalWhole
    train_key: str
    evaluate_key: str


class EpisodeRow(CellRow):
    """One row per evaluation episode: its raw undiscounted return, its length, and whether the protocol's cap cut it."""

    episode: Whole
    episode_return: Finite
    episode_env_steps: Whole
    truncated: bool


class CurveRow(CellRow):
    """One row per evaluation during training; `score` is the mean raw return of `num_episodes` episodes."""

    env_steps: Whole
    updates: Whole
    score: Finite
    num_episodes: Whole


class CostRow(BaseModel):
    """One row per (cell, job that it needs): how many seconds the job took, on which device.

    sharers: how many cells of this run need the same job.
    """

    model_config = ConfigDict(extra="forbid")

    method: str
    game: str
    seed: Whole
    stage: str
    key: str
    seconds: Annotated[Finite, Field(ge=0)]
    device: str
    sharers: Annotated[Whole, Field(ge=1)]


class TaskWeightRow(CellRow):
    """One row per measurement of a cross-task's weight in finetuning; `gradient_similarity` is a cosine, in [-1, 1]."""

    source_game: str
    updates: Whole
    weight: Finite
    gradient_similarity: OptionalFinite


class PlasticityRow(CellRow):
    """One row per evaluation during training of an EfficientZero: how well its network can still learn.

    dormant_fraction: share of its rectified units that are hardly ever active. effective_rank: of its latents. Both are defined
    in `xtra.agents.efficientzero.diagnostics`.
    """

    env_steps: Whole
    updates: Whole
    dormant_fraction: Annotated[Finite, Field(ge=0, le=1)]
    effective_rank: Annotated[Whole, Field(ge=0)]


class DiagnosticRow(CellRow):
    """Several rows per evaluation during training of an EfficientZero: measurements that show whether it learns.

    quantity: such as `value_loss.evaluation`; all are defined in `xtra.agents.efficientzero.diagnostics`. unroll_step: 0 at the
    observation itself, k after k imagined actions.
    """

    env_steps: Whole
    updates: Whole
    quantity: str
    unroll_step: Whole
    value: Finite


class SourceScoreRow(CellRow):
    """One row per (cell, game that its network was pretrained on): what the network scores there, before any finetuning. A
    distilled one plays by default settings of search and acting, whatever its method's.

    data_score: the last point of the learning curve of the run whose data it learned from; empty for random play.
    """

    source_game: str
    score: Finite
    num_episodes: Whole
    data_score: OptionalFinite
    pretrain_key: str


class ProbeRow(CellRow):
    """One row per (cell with probes, predictor): a value, measured before finetuning, that may foretell the transfer from
    `source_game` to `game`.

    predictor: such as `cka`; all are defined in `xtra.stages.probe`. value: the larger, the more transfer it expects; empty where
    it is not defined. seconds: what it took to measure, parts shared with others included.
    """

    source_game: str
    predictor: str
    value: OptionalFinite
    seconds: Annotated[Finite, Field(ge=0)]


@dataclass(frozen=True)
class CsvTable:
    """A kind of row and the columns that identify one. optional: runs collected before it existed have no such file."""

    name: str
    row: type[BaseModel]
    key: tuple[str, ...]
    optional: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in the order of the file."""
        return tuple(self.row.model_fields)

    def columns_of(self, kind: type) -> list[str]:
        """Returns the columns that hold values of that type, or nothing."""
        return [name for name, field in self.row.model_fields.items() if _holds(field.annotation, kind)]

    @property
    def file_name(self) -> str:
        return f"{self.name}.csv"


CELL = tuple(CellRow.model_fields)
CELL_KEY = ("protocol", "method", "game", "seed")

SCORES = CsvTable("scores", ScoreRow, CELL_KEY)
EPISODES = CsvTable("episodes", EpisodeRow, (*CELL_KEY, "episode"))
CURVES = CsvTable("curves", CurveRow, (*CELL_KEY, "env_steps"))
COSTS = CsvTable("costs", CostRow, ("method", "game", "seed", "key"))
TASK_WEIGHTS = CsvTable("task_weights", TaskWeightRow, (*CELL_KEY, "source_game", "updates"))
PLASTICITY = CsvTable("plasticity", PlasticityRow, (*CELL_KEY, "env_steps"))
DIAGNOSTICS = CsvTable("diagnostics", DiagnosticRow, (*CELL_KEY, "env_steps", "quantity", "unroll_step"))
SOURCE_SCORES = CsvTable("source_scores", SourceScoreRow, (*CELL_KEY, "source_game"))
PROBES = CsvTable("probes", ProbeRow, (*CELL_KEY, "source_game", "predictor"), optional=True)
TABLES = (SCORES, EPISODES, CURVES, COSTS, TASK_WEIGHTS, PLASTICITY, DIAGNOSTICS, SOURCE_SCORES, PROBES)


def to_csv(table: CsvTable, rows: Iterable[Mapping[str, Any]]) -> str:
    """Writes the rows as CSV text, sorted by the table's key. Raises ValueError for a row whose columns are not the table's."""
    ordered = sorted(rows, key=lambda row: tuple(row[column] for column in table.key))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=table.columns, lineterminator="\n")
    writer.writeheader()
    for row in ordered:
        if set(row) != set(table.columns):
            raise ValueError(f"table {table.name}: columns {sorted(row)} instead of {sorted(table.columns)}")
        writer.writerow({column: _format(row[column]) for column in table.columns})
    return buffer.getvalue()


def read_csv(table: CsvTable, path: Path) -> list[dict[str, Any]]:
    """Reads the rows of a file written by `to_csv`; an empty number is None.

    Raises OSError for a file that cannot be read, and ValueError that names line, column and value for anything that is no such
    row.
    """
    with path.open(newline="", encoding="utf-8") as file:
        try:
            reader = csv.DictReader(file, restval=None)
            if reader.fieldnames is None:
                raise ValueError("is empty")
            if set(reader.fieldnames) != set(table.columns):
                raise ValueError(f"columns {reader.fieldnames} instead of {list(table.columns)}")
            return [_row(table, cells, reader.line_num) for cells in reader]
        except csv.Error as error:
            raise ValueError(f"is not a CSV file: {error}") from error


def _row(table: CsvTable, cells: dict[str | None, Any], line: int) -> dict[str, Any]:
    if None in cells or None in cells.values():
        raise ValueError(f"line {line} does not have {len(table.columns)} columns")
    try:
        return table.row.model_validate(cells).model_dump()
    except ValidationError as error:
        first = error.errors()[0]
        value = str(first["input"])
        excerpt = value if len(value) <= 40 else f"{value[:40]}…"
        raise ValueError(
            f"line {line}, column {first['loc'][0]}: {excerpt!r}: {first['msg'][0].lower()}{first['msg'][1:]}"
        ) from None


def _holds(annotation: Any, kind: type) -> bool:
    return annotation is kind or any(_holds(argument, kind) for argument in get_args(annotation))


def _format(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)
