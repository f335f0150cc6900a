"""Tables that others wrote: rows of CSV files, of rliable's JSON and of frames, each with its place, checked field by field."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pandas as pd

from xtra.store.rows import LARGEST_INTEGER
from xtra_analysis.matrices import InputError
from xtra_analysis.text import counted, label, nearest, short

LARGEST_SCORE = 1e100
"""Largest score that is read: beyond it means and spreads leave the range of a float, and no game has such scores."""
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
"""Separators that other programs put between columns."""
OTHER_NAMES = {
    "method": ("algorithm", "algo", "agent", "model", "name"),
    "game": ("env", "env_id", "environment", "task"),
    "seed": ("run", "run_id", "trial", "rng_seed"),
    "score": ("return", "reward", "episode_return", "mean_return", "value"),
    "env_steps": ("step", "steps", "timesteps", "global_step", "frames"),
    "reference": ("human", "max", "maximum"),
}
"""Names that others have for our columns: suggested in errors, never taken."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Field:
    """The content of a column: `parse` returns a value or raises ValueError, whose text says what is wrong with it."""

    parse: Callable[[Any], Any]


def _name(value: Any) -> str:
    text = "" if _is_empty(value) else label(value)
    if not text:
        raise ValueError("is empty; give a name")
    return text


def _whole(value: Any) -> int:
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        number = Decimal(-1)
    if not number.is_finite() or not 0 <= number <= LARGEST_INTEGER or number != number.to_integral_value():
        raise ValueError("is no whole number from 0 on")
    return int(number)


def _number(value: Any, without: str = "leave the line out if there is none") -> float:
    """Parses a finite number. `without` says what to do where there is none."""
    if _is_empty(value):
        raise ValueError(f"is empty; give a number, or {without}")
    text = str(value).strip()
    try:
        number = float(text)
    except ValueError:
        comma = " (no comma)" if "," in text else ""
        raise ValueError(f"is no number; write it with a decimal point{comma}, such as 1234.5") from None
    if not math.isfinite(number):
        raise ValueError(f"is not finite; give a number, or {without}")
    if abs(number) > LARGEST_SCORE:
        raise ValueError(f"is too large to be averaged; valid are numbers up to {LARGEST_SCORE:g}")
    return number


def _optional_number(value: Any) -> float | None:
    return None if _is_empty(value) else _number(value, "leave it empty if there is none")


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


NAME = Field(_name)
WHOLE = Field(_whole)
NUMBER = Field(_number)
OPTIONAL_NUMBER = Field(_optional_number)


def read_csv_rows(path: Path, fields: Mapping[str, Field]) -> Iterator[tuple[str, Row]]:
    """Yields the place and the checked fields of each line; other columns are ignored.

    Raises InputError that names file, line, column and what is valid.
    """
    lines = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        header = [column.strip() for column in next(lines, [])]
        _check_header(path, header, fields)
        num_rows = 0
        for cells in lines:
            if not any(cell.strip() for cell in cells):
                continue
            place = f"{path}, line {lines.line_num}"
            if len(cells) != len(header):
                remedy = (
                    "the line is cut short; is the file truncated?"
                    if len(cells) < len(header)
                    else "put a text with a comma in it into double quotes"
                )
                raise InputError(f"{place}: has {counted(len(cells), 'column')}, the first line has {len(header)}; {remedy}")
            num_rows += 1
            yield place, parse_row(place, dict(zip(header, cells, strict=True)), fields)
    except csv.Error as error:
        raise InputError(f"{path}, line {lines.line_num}: is not CSV: {error}") from None
    if not num_rows:
        raise InputError(f"{path}: has a header but no row below it; give one line for each {listed_columns(fields)}")


def frame_rows(frame: pd.DataFrame, fields: Mapping[str, Field], name: str) -> Iterator[tuple[str, Row]]:
    """Yields the same of a frame, whose places are its index; values that pandas counts as missing are empty."""
    _check_header(Path(name), [str(column) for column in frame.columns], fields)
    columns = frame[list(fields)].astype(object)
    for index, cells in zip(frame.index, columns.where(columns.notna(), None).to_dict("records"), strict=True):
        place = f"{name}, row {index}"
        yield place, parse_row(place, cells, fields)


def read_json_rows(path: Path, fields: Mapping[str, Field]) -> tuple[bool, list[tuple[str, Row]]]:
    """Reads the rows of `{method: [[runs × games]]}`, which rliable takes, or of `{method: {game: [runs]}}`; runs are numbered
    from 0.

    Returns too whether games have names; where they have none, they are numbered from 1.
    """
    try:
        content = json.loads(_text(path), object_pairs_hook=lambda pairs: _unique_keys(path, pairs))
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{path}: is no JSON: {error}") from None
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path}: holds no object; valid are {{method: [[runs × games]]}} and {{method: {{game: [runs]}}}}")
    named = all(isinstance(scores, dict) for scores in content.values())
    rows: list[tuple[str, Row]] = []
    widths: dict[int, str] = {}
    for method, scores in content.items():
        own = scores if named else _columns(path, method, scores, widths)
        rows += [
            (place, parse_row(place, {"method": method, "game": game, "seed": seed, "score": value}, fields))
            for game, values in own.items()
            for seed, value in enumerate(_list(f"{path}, method {method!r}, {game}", values))
            for place in [f"{path}, method {method!r}, {game}, run {seed}"]
        ]
    if not rows:
        raise InputError(f"{path}: holds no score; valid are {{method: [[runs × games]]}} and {{method: {{game: [runs]}}}}")
    return named, rows


def parse_row(place: str, cells: Mapping[str, Any], fields: Mapping[str, Field]) -> Row:
    """Parses the fields of one row. Raises InputError that names place, column, value and what is valid."""
    row = {}
    for column, field in fields.items():
        try:
            row[column] = field.parse(cells[column])
        except ValueError as error:
            value = "" if _is_empty(cells[column]) else f"{short(str(cells[column]), 40)!r} "
            raise InputError(f"{place}, column {column}: {value}{error}") from None
    return row


def listed_columns(fields: Iterable[str]) -> str:
    """Lists the columns' names in one line."""
    return ", ".join(fields)


def _text(path: Path) -> str:
    """Reads a file's text without a byte order mark."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise InputError(f"{path}: is no regular file; save the table as a CSV file")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except IsADirectoryError:
        raise InputError(
            f"{path}: is a directory; name a CSV or JSON file in it (a run of xtra-bench is reported without --scores)"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is no UTF-8 text; save it as CSV with UTF-8 encoding") from None
    if "\0" in text:
        raise InputError(f"{path}: is no text (it holds zero bytes); save it as CSV with UTF-8 encoding")
    if not text.strip():
        raise InputError(f"{path}: is empty")
    return text


def _check_header(path: Path, header: Sequence[str], fields: Mapping[str, Field]) -> None:
    """Refuses a table that lacks a column or has one twice."""
    absent = [column for column in fields if column not in header]
    if absent and len(header) == 1:
        for separator, plural in SEPARATORS.items():
            if separator in header[0]:
                raise InputError(f"{path}, line 1: columns are separated by {plural}; separate them by commas")
    if absent:
        raise InputError(
            f"{path}, line 1: there is no column {absent[0]!r}{_namesake(absent[0], header)}; needed are "
            f"{listed_columns(fields)}, and there are {short(', '.join(header), 100)}"
        )
    for column in fields:
        if header.count(column) > 1:
            raise InputError(f"{path}, line 1: column {column!r} stands there twice; keep one of them")


def _namesake(column: str, header: Sequence[str]) -> str:
    """Finds the column that might be the one that is missing."""
    folded = {name.casefold(): name for name in header if name}
    other = next((folded[name] for name in OTHER_NAMES.get(column, ()) if name in folded), None) or nearest(
        column, folded.values()
    )
    return f" (is it {other!r}? Rename it)" if other else ""


def _unique_keys(path: Path, pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if twice := next((key for key in keys if keys.count(key) > 1), None):
        raise InputError(f"{path}: key {twice!r} stands there twice; keep one of them")
    return dict(pairs)


def _columns(path: Path, method: str, scores: Any, widths: dict[int, str]) -> dict[str, list[Any]]:
    """Splits a matrix `[runs, games]` by game. `widths` holds the numbers of games seen so far, and in which method."""
    place = f"{path}, method {method!r}"
    runs = [_list(f"{place}, run {run}", values) for run, values in enumerate(_list(place, scores))]
    for run, values in enumerate(runs):
        widths.setdefault(len(values), f"run {run} of {method!r}")
    if len(widths) > 1:
        (first, there), (second, here) = list(widths.items())[:2]
        raise InputError(f"{path}: {there} has {first} games, {here} has {second}; every run has one score for each game")
    return {f"game {game + 1}": [values[game] for values in runs] for game in range(len(runs[0]) if runs else 0)}


def _list(place: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise InputError(
            f"{place}: {short(json.dumps(value), 40)} is no list; valid are {{method: [[runs × games]]}} and "
            "{method: {game: [runs]}}"
        )
    return value
