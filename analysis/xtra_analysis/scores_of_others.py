"""Scores that other code measured → a study: columns method, game, seed and score are enough for the whole report."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from xtra.results.run_record import MethodRecord, Provenance, RunRecord
from xtra.store.rows import TABLES
from xtra_analysis.matrices import InputError
from xtra_analysis.normalization import Scale, named_scale
from xtra_analysis.study import RANDOM_AGENT, ScoresOrigin, Study
from xtra_analysis.tables_of_others import (
    NAME,
    NUMBER,
    OPTIONAL_NUMBER,
    WHOLE,
    Field,
    Row,
    frame_rows,
    read_csv_rows,
    read_json_rows,
)
from xtra_analysis.text import listed, nearest

SCORE_FIELDS: Mapping[str, Field] = {"method": NAME, "game": NAME, "seed": WHOLE, "score": OPTIONAL_NUMBER}
CURVE_FIELDS: Mapping[str, Field] = {"method": NAME, "game": NAME, "seed": WHOLE, "env_steps": WHOLE, "score": NUMBER}
MOST_METHODS = 3
"""Most methods that the question on the page names."""
Rows = Iterable[tuple[str, Row]]


def from_frame(
    scores: pd.DataFrame,
    curves: pd.DataFrame | None = None,
    *,
    baseline: str | None = None,
    normalize: str = "none",
    question: str | None = None,
) -> Study:
    """Makes a study of frames: `scores` with columns method, game, seed, score; `curves` with env_steps too.

    normalize: human, max, none, or the path of a CSV file with columns game, random, reference. A score that is None is a run
    without a result. A method named Random is the random agent. `write_report` takes the study; `.scores` is what `estimate` and
    `compare` take. Raises InputError that names row, column and what is valid.
    """
    curve_rows = [] if curves is None else frame_rows(curves, CURVE_FIELDS, "the frame of curves")
    origin = ScoresOrigin("frame", (("Scores", "a frame, handed over in Python"),))
    return _study(frame_rows(scores, SCORE_FIELDS, "the frame of scores"), curve_rows, origin, baseline, normalize, question)


def read_scores(scores: Path, curves: Path | None, baseline: str | None, normalize: str, question: str | None = None) -> Study:
    """Reads a study from files: CSV as `from_frame` describes, or JSON that rliable's users have (`{method: [[runs × games]]}`).

    Raises InputError that names file, line, column and what is valid.
    """
    rows: Rows
    if scores.suffix.lower() == ".json":
        named, rows = read_json_rows(scores, SCORE_FIELDS)
        if normalize != "none" and not named:
            raise InputError(
                f"{scores}: its games have no names, so nothing is known to normalize by; write {{method: {{game: [runs]}}}}, "
                "or normalize by none"
            )
    else:
        rows = list(read_csv_rows(scores, SCORE_FIELDS))
    curve_rows = [] if curves is None else list(read_csv_rows(curves, CURVE_FIELDS))
    facts = tuple((kind, _file_fact(path)) for kind, path in (("Scores", scores), ("Curves", curves)) if path is not None)
    return _study(rows, curve_rows, ScoresOrigin(scores.name, facts), baseline, normalize, question)


def _file_fact(path: Path) -> str:
    return f"{path.name}, SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}"


def _study(
    score_rows: Rows, curve_rows: Rows, origin: ScoresOrigin, baseline: str | None, normalize: str, question: str | None
) -> Study:
    scale = named_scale(normalize)
    scores = _unique(score_rows, ("method", "game", "seed"))
    curves = _unique(curve_rows, ("method", "game", "seed", "env_steps"))
    _check_games(scores, scale)
    _check_curves(curves, {key[:3] for key in scores})
    record = _record([row for _, row in scores.values()], origin, baseline, question)
    tables = {table.name: pd.DataFrame(columns=list(table.columns)) for table in TABLES}
    tables["scores"] = _frame(scores, record, tables["scores"])
    if curves:
        tables["curves"] = _frame(curves, record, tables["curves"])
    for table in TABLES:
        tables[table.name] = tables[table.name].astype(dict.fromkeys(table.columns_of(float), "float64"))
    for name in ("scores", "curves"):
        tables[name]["normalized"] = scale.normalize(tables[name]["game"], tables[name]["score"])
    tables["source_scores"]["normalized"] = pd.Series(dtype="float64")
    return Study((record,), tables, scale, origin)


def _unique(rows: Rows, key: tuple[str, ...]) -> dict[tuple[object, ...], tuple[str, Row]]:
    """Returns the rows and their places by what identifies them."""
    unique: dict[tuple[object, ...], tuple[str, Row]] = {}
    for place, row in rows:
        identity = tuple(row[column] for column in key)
        if identity in unique:
            cell = ", ".join(f"{column} {value}" for column, value in zip(key, identity, strict=True))
            raise InputError(f"{place}: {cell} stands already in {unique[identity][0]}; give each one line")
        unique[identity] = (place, row)
    if not unique and key == ("method", "game", "seed"):
        raise InputError("there is no row of scores; give one for each method, game and seed")
    return unique


def _check_games(scores: Mapping[tuple[object, ...], tuple[str, Row]], scale: Scale) -> None:
    places: dict[str, str] = {}
    for place, row in scores.values():
        places.setdefault(row["game"], place)
    if complaint := scale.complaint(list(places)):
        first = next(place for game, place in places.items() if scale.complaint([game]))
        raise InputError(f"{first}, column game: {complaint}")


def _check_curves(curves: Mapping[tuple[object, ...], tuple[str, Row]], runs: set[tuple[object, ...]]) -> None:
    for key, (place, row) in curves.items():
        if key[:3] not in runs:
            raise InputError(
                f"{place}: {row['method']} on {row['game']}, seed {row['seed']}, is no run of the scores; give it a line there, "
                "with an empty score if it has none"
            )


def _record(rows: list[Row], origin: ScoresOrigin, baseline: str | None, question: str | None) -> RunRecord:
    """Makes the record that `run.json` would hold of a run, as far as scores can tell."""
    methods = list(dict.fromkeys(row["method"] for row in rows))
    if baseline is not None and baseline not in methods:
        near = nearest(baseline, methods)
        hint = f" (did you mean {near!r}?)" if near else ""
        raise InputError(f"baseline {baseline!r} is no method of {origin.name}{hint}; valid are {', '.join(methods)}")
    runs = pd.DataFrame(rows).groupby(["method", "game"]).size()
    return RunRecord(
        suite=origin.name,
        suite_version=0,
        question=question or _question(methods, baseline),
        protocol="",
        protocol_name="",
        protocol_summary="These scores were measured by other code; ask their authors how they were measured.",
        proves="learning",
        normalization="human",
        games=tuple(dict.fromkeys(row["game"] for row in rows)),
        seeds=tuple(range(int(runs.max()))),  # as many as a cell has: others number the seeds of each method as they like
        methods=tuple(MethodRecord(name=name, agent=_agent(name)) for name in methods),
        baseline=baseline,
        preset="",
        provenance=Provenance(),
    )


def _question(methods: list[str], baseline: str | None) -> str:
    others = [name for name in methods if name != baseline]
    names = listed(others) if len(others) <= MOST_METHODS else f"{len(others)} methods"
    if baseline is None or not others:
        return f"What do the scores of {names or baseline} say?"
    return f"How do {names} compare with {baseline}?" if len(others) > 1 else f"How does {names} compare with {baseline}?"


def _agent(method: str) -> str:
    return RANDOM_AGENT if method.casefold() == RANDOM_AGENT else ""


def _frame(rows: Mapping[tuple[object, ...], tuple[str, Row]], record: RunRecord, empty: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows with every column of the table that they belong to, methods in the order in which they first appear."""
    order = {method.name: place for place, method in enumerate(record.methods)}
    frame = pd.DataFrame([row for _, row in rows.values()])
    known = {"suite": record.suite, "suite_version": record.suite_version, "protocol": "", "train_key": "", "evaluate_key": ""}
    for column, value in known.items():
        if column in empty:
            frame[column] = value
    frame["agent"] = frame["method"].map(_agent)
    if "status" in empty:
        frame["status"] = ["missing" if score is None or pd.isna(score) else "complete" for score in frame["score"]]
        frame["score_rule"] = ""
    key = [column for column in ("game", "seed", "env_steps") if column in frame]
    frame = frame.reindex(columns=list(empty.columns)).sort_values(key, kind="stable")
    return frame.sort_values("method", key=lambda names: names.map(order), kind="stable", ignore_index=True)
