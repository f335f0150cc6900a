"""Seeds added later are recorded as looks when they are collected, and a report's tests pay for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from xtra_analysis.analyse import analyse
from xtra_analysis.comparison import compare, comparison_section
from xtra_analysis.overview import answer
from xtra_analysis.study import read_study
from xtra_analysis.synthetic import METHODS, write_synthetic_run

from xtra.results.run_record import RunFields, earlier_seeds, read_run_record

GAMES = ("Alien", "Assault")


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Writes a run of EfficientZero and XTRA: `make(name, seeds, day, identity, **changes of run.json)`."""

    def make_run(name: str, seeds: range, day: int, identity: str = "xtra", **changes: Any) -> Path:
        run = write_synthetic_run(tmp_path / name, METHODS[:2], GAMES, seeds, **changes)
        content = json.loads((run / "run.json").read_text())
        content["provenance"]["created"] = f"2026-01-{day:02}T00:00:00+00:00"
        content["methods"][1]["identity"] = {"digest": identity, "facts": {"a setting": identity}}
        (run / "run.json").write_text(json.dumps(content))
        return run

    return make_run


def looks_before(run: Path) -> tuple[tuple[int, ...], ...]:
    record = read_run_record(run)
    return earlier_seeds(
        run, RunFields(**{name: getattr(record, name) for name in RunFields.model_fields}), record.provenance.created
    )


def record_looks(run: Path) -> Path:
    content = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(content | {"earlier_seeds": looks_before(run)}))
    return run


def test_seeds_of_earlier_runs_are_found_in_the_order_of_time(make: Callable[..., Path]) -> None:
    third = make("third", range(4, 6), day=3)
    second, first = make("a-second", range(2, 4), day=2), make("first", range(2), day=1)
    make("fourth", range(6, 8), day=4)
    assert looks_before(third) == ((0, 1), (2, 3))
    assert looks_before(second) == ((0, 1),)
    assert looks_before(first) == ()


def test_runs_collected_at_the_same_time_or_with_the_same_seeds_are_no_looks(make: Callable[..., Path]) -> None:
    make("twin", range(2, 4), day=1)
    run = make("run", range(4, 6), day=2)
    make("same-time", range(2), day=2)
    make("same-seeds", range(4, 6), day=1)
    assert looks_before(run) == ((2, 3),)


@pytest.mark.parametrize(
    "other",
    [
        {"identity": "another setting"},
        {"protocol": "atari100k+training.env_steps=50000"},
        {"suite": "another"},
        {"suite_version": 2},
    ],
    ids=lambda other: next(iter(other)),
)
def test_another_experiment_is_no_look(make: Callable[..., Path], other: dict[str, Any]) -> None:
    make("first", range(2), day=1, **other)
    assert looks_before(make("second", range(2, 4), day=2)) == ()


def test_runs_without_any_score_and_files_that_are_no_runs_are_no_looks(make: Callable[..., Path]) -> None:
    first = make("first", range(2), day=1)
    header, *rows = (first / "scores.csv").read_text().splitlines()
    frame = pd.read_csv(first / "scores.csv").assign(status="missing", score=None)
    frame.to_csv(first / "scores.csv", index=False)
    second = make("second", range(2, 4), day=2)
    (second.parent / "broken").mkdir()
    (second.parent / "broken" / "run.json").write_text("{")
    assert looks_before(second) == ()
    (first / "scores.csv").write_text("\n".join([header, *rows]) + "\n")
    assert looks_before(second) == ((0, 1),)


def test_a_look_is_not_forgotten_when_the_earlier_run_is_gone(make: Callable[..., Path]) -> None:
    first = make("first", range(2), day=1)
    second = record_looks(make("second", range(2, 4), day=2))
    (first / "run.json").unlink()
    assert looks_before(second) == ((0, 1),)


def test_a_report_of_added_seeds_corrects_its_tests_for_the_looks_taken(make: Callable[..., Path]) -> None:
    first, second = make("first", range(3), day=1), record_looks(make("second", range(3, 6), day=2))
    study = read_study([first, second])
    assert (read_study([first]).looks, study.looks) == (1, 2)
    plain = compare(study.scores, "EfficientZero").dropna(subset=["p_holm"])["p_holm"].iloc[0]
    findings = analyse(study)
    corrected = findings.comparison.dropna(subset=["p_holm"])["p_holm"].iloc[0]
    assert corrected == pytest.approx(min(1.0, 2 * plain)) and plain < 0.5
    assert "corrected for 2 looks)" in answer(findings)
    section = comparison_section(findings)
    assert section is not None
    notes = [note for block in section.blocks for note in getattr(block, "notes", ())]
    told = "(earlier runs had seeds 0, 1, 2), so this is look 2, and corrected p-values are multiplied by 2."
    assert any(told in note and "at most 7.5 %, not 5 %" in note for note in notes)


def test_one_run_with_all_seeds_counts_the_look_at_the_first_of_them(make: Callable[..., Path]) -> None:
    make("first", range(3), day=1)
    assert read_study([record_looks(make("all", range(6), day=2))]).looks == 2


def test_fewer_of_the_same_seeds_are_no_further_look(make: Callable[..., Path]) -> None:
    make("first", range(6), day=1)
    assert read_study([record_looks(make("fewer", range(2), day=2))]).looks == 1


def test_halves_computed_on_two_machines_are_one_look(make: Callable[..., Path]) -> None:
    assert read_study([make("one", range(3), day=1), make("two", range(3, 6), day=2)]).looks == 1
