"""Did a change help? Two runs side by side, against numbers computed by hand."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from typer.testing import CliRunner
from xtra_analysis import compare_runs
from xtra_analysis.intervals import STUDENT_LEVEL, generator
from xtra_analysis.run_comparison import comparison_text
from xtra_analysis.significance import fewest_for_significance, sign_flip_test
from xtra_analysis.synthetic import METHODS

from xtra.cli.main import app

MakeRun = Callable[..., Path]
CATCH_SPAN = 1.6
"""Catch's maximum, 1, less a random agent's -0.6."""


def rewrite(run: Path, scores: Mapping[tuple[str, str, int], float | None], **record: Any) -> Path:
    """Gives cells of a run scores of our own (None: missing), and its `run.json` other values; other cells become missing."""
    with (run / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        score = scores.get((row["method"], row["game"], int(row["seed"])))
        row |= {"score": "" if score is None else repr(score), "status": "missing" if score is None else "complete"}
    with (run / "scores.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    content = json.loads((run / "run.json").read_text()) | record
    (run / "run.json").write_text(json.dumps(content))
    return run


@pytest.fixture
def two(make_run: MakeRun) -> Callable[..., tuple[Path, Path]]:
    """Two runs of EfficientZero and XTRA on Catch and CatchWide with the given scores, by (method, game, seed)."""

    def make(
        before: Mapping[tuple[str, str, int], float | None],
        after: Mapping[tuple[str, str, int], float | None],
        seeds: int = 3,
        **record: Any,
    ) -> tuple[Path, Path]:
        options: dict[str, Any] = {"games": ("Catch", "CatchWide"), "seeds": range(seeds), "normalization": "maximum"}
        return (
            rewrite(make_run("before", **options), before),
            rewrite(make_run("after", **options), after, **record),
        )

    return make


def scores(method: str, **by_game: list[float]) -> dict[tuple[str, str, int], float | None]:
    return {(method, game, seed): value for game, values in by_game.items() for seed, value in enumerate(values)}


def test_differences_are_those_of_pairs_by_seed(two: Callable[..., tuple[Path, Path]]) -> None:
    before = scores("XTRA", Catch=[0.1, 0.5, -0.2], CatchWide=[0.0, 0.0, 0.0])
    after = scores("XTRA", Catch=[0.2, 0.7, 0.1], CatchWide=[0.4, 0.2, 0.6])
    comparison = compare_runs(*two(before, after))
    games = comparison.games.set_index("game")
    assert games["estimate"].to_dict() == pytest.approx({"Catch": 0.2, "CatchWide": 0.4})
    assert games[["before", "after"]].loc["Catch"].tolist() == pytest.approx([0.4 / 3, 1.0 / 3])
    # The differences on Catch are 0.1, 0.2 and 0.3: of 8 sign patterns only all plus and all minus are as extreme.
    assert games["p_value"].tolist() == [0.25, 0.25]
    assert games["p_holm"].tolist() == [0.5, 0.5]
    reach = stats.t.ppf(0.5 * (1 + STUDENT_LEVEL), 2) * 0.1 / np.sqrt(3)
    assert games.loc["Catch", ["low", "high"]].tolist() == pytest.approx([0.2 - reach, 0.2 + reach], rel=0.05)
    overall = comparison.overall.iloc[0]
    assert overall["estimate"] == pytest.approx((0.2 + 0.4) / 2 / CATCH_SPAN)
    assert overall["p_value"] == 2 / 64
    assert (overall["num_games"], overall["num_pairs"]) == (2, 6)


def test_pairing_sees_what_lies_beneath_the_spread_between_seeds(two: Callable[..., tuple[Path, Path]]) -> None:
    levels = [0.0, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9]
    before = scores("XTRA", Catch=levels)
    after = scores("XTRA", Catch=[level + 0.02 + 0.001 * seed for seed, level in enumerate(levels)])
    comparison = compare_runs(*two(before, after, seeds=7))
    row = comparison.games.iloc[0]
    assert row["low"] > 0 and row["p_value"] == 2 / 2**7
    assert "It is better than before by more than the seeds explain." in comparison_text(comparison)
    worse = compare_runs(*reversed(two(before, after, seeds=7)))
    assert "It is worse than before by more than the seeds explain." in comparison_text(worse)


def test_p_values_are_corrected_for_all_games_and_methods_they_stand_beside(two: Callable[..., tuple[Path, Path]]) -> None:
    before = scores("EfficientZero", Catch=[0.0, 0.0, 0.0]) | scores("XTRA", Catch=[0.0, 0.0, 0.0])
    after = scores("EfficientZero", Catch=[0.1, 0.2, 0.3]) | scores("XTRA", Catch=[0.1, -0.2, 0.15])
    comparison = compare_runs(*two(before, after))
    assert comparison.games["p_value"].tolist() == [0.25, 1.0]
    assert comparison.games["p_holm"].tolist() == comparison.overall["p_holm"].tolist() == [0.5, 1.0]
    assert "corrected for 2 methods" in comparison_text(comparison)
    assert "So few pairs cannot settle it: the test needs at least 7." in comparison_text(comparison)


def test_the_same_jobs_with_the_same_scores_are_said_and_not_tested(two: Callable[..., tuple[Path, Path]]) -> None:
    same = scores("EfficientZero", Catch=[0.5, 0.6, 0.7])
    before, after = same | scores("XTRA", Catch=[0.0, 0.1, 0.2]), same | scores("XTRA", Catch=[0.5, 0.7, 0.9])
    comparison = compare_runs(*two(before, after))
    assert comparison.unchanged == ["EfficientZero"]
    assert comparison.games["method"].tolist() == ["XTRA"]
    assert comparison.games["p_holm"].tolist() == [0.25]
    assert "The same jobs with the same scores in both: EfficientZero. A change of code alone" in comparison_text(comparison)


def test_cells_without_a_partner_are_named_and_left_out(two: Callable[..., tuple[Path, Path]]) -> None:
    before, after = scores("XTRA", Catch=[0.1, 0.2, 0.3]), scores("XTRA", Catch=[0.3, 0.5])
    comparison = compare_runs(*two(before, after))
    assert comparison.games[["num_pairs", "estimate"]].iloc[0].tolist() == pytest.approx([2, 0.25])
    assert comparison.unpaired == ["XTRA on Catch, seed 2 (only before)"]
    assert "Left out, for want of a partner: XTRA on Catch, seed 2 (only before)." in comparison_text(comparison)


def test_what_is_clear_alone_but_not_among_many_is_said(make_run: MakeRun) -> None:
    options: dict[str, Any] = {"methods": METHODS[:4], "games": ("Catch",), "seeds": range(8), "normalization": "maximum"}
    names = [method.name for method in METHODS[:4]]
    changes = {name: [0.1, -0.1, 0.05, -0.05, 0.2, -0.2, 0.1, -0.08] for name in names}
    changes[names[1]] = [0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.2, -0.1]
    before = rewrite(make_run("before", **options), {(name, "Catch", seed): 0.0 for name in names for seed in range(8)})
    after = rewrite(
        make_run("after", **options), {(name, "Catch", seed): changes[name][seed] for name in names for seed in range(8)}
    )
    comparison = compare_runs(before, after)
    row = comparison.overall.set_index("method").loc[names[1]]
    # As extreme are the patterns with no minus and those with one, at any of the three 0.1; and the opposites of these four.
    assert row["p_value"] == 8 / 256 and row["p_holm"] == 4 * 8 / 256 and row["low"] > 0
    assert "Alone it would be clear; as one of 4 methods it is not." in comparison_text(comparison)


def test_games_of_unknown_scale_are_left_out_of_normalized_scores_by_name(make_run: MakeRun) -> None:
    options: dict[str, Any] = {"methods": METHODS[1:2], "games": ("Alien", "Carnival"), "seeds": range(2)}
    cells = [("XTRA", game, seed) for game in ("Alien", "Carnival") for seed in range(2)]
    before = rewrite(make_run("before", **options), dict.fromkeys(cells, 100.0), baseline=None)
    after = rewrite(make_run("after", **options), {cell: 200.0 + cell[2] for cell in cells}, baseline=None)
    comparison = compare_runs(before, after)
    assert comparison.overall["num_games"].tolist() == [1] and len(comparison.games) == 2
    assert "Left out of normalized scores, whose scale is not known there: Carnival." in comparison_text(comparison)


def test_one_seed_has_neither_interval_nor_test(two: Callable[..., tuple[Path, Path]]) -> None:
    comparison = compare_runs(*two(scores("XTRA", Catch=[0.1]), scores("XTRA", Catch=[0.4])))
    assert comparison.games[["low", "p_value", "p_holm"]].isna().all(axis=None)
    assert "XTRA: 0.19 in normalized score, over 1 game and 1 pair of runs; too few seeds" in comparison_text(comparison)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"proves": "wiring"}, "runs this short prove the wiring, not learning"),
        ({"suite_version": 2}, "they are of different versions of one suite"),
        ({}, "no method has a score on the same game with the same seed in both"),
    ],
)
def test_scores_that_mean_different_things_are_not_compared(
    two: Callable[..., tuple[Path, Path]], record: dict[str, Any], message: str
) -> None:
    before, after = two(scores("XTRA", Catch=[0.1, 0.2]), scores("XTRA", **{"Catch" if record else "CatchWide": [0.1]}))
    content = json.loads((after / "run.json").read_text()) | record
    (after / "run.json").write_text(json.dumps(content))
    if "suite_version" in record:
        rows = (after / "scores.csv").read_text().replace("synthetic,1,", "synthetic,2,")
        (after / "scores.csv").write_text(rows)
    comparison = compare_runs(before, after)
    assert f"The scores are not compared: {message}" in comparison_text(comparison)
    assert comparison.games.empty and comparison.overall.empty


def test_protocols_that_differ_are_said_and_scores_not_compared(make_run: MakeRun) -> None:
    runs = make_run("before"), make_run("after", protocol="atari100k+training.env_steps=50000")
    text = comparison_text(compare_runs(*runs))
    assert "settings: protocol: atari100k → atari100k+training.env_steps=50000" in text
    assert "The scores are not compared: their protocols differ (atari100k and atari100k+training.env_steps=50000)" in text


def test_settings_code_and_machine_are_said_where_they_differ(make_run: MakeRun) -> None:
    changes = {"command_line": {"agent.search.num_simulations": 16}, "seeds": [0, 1, 2, 3]}
    before, after = make_run("before"), make_run("after", methods=METHODS[:3])
    for run, simulations, commit, gpu in ((before, 50, "a1", "H100"), (after, 16, "b2", "A100")):
        content = json.loads((run / "run.json").read_text()) | (changes if run == after else {})
        facts = {"agent": "efficientzero", "agent.search.num_simulations": simulations, "version of stage train": simulations}
        content["methods"][1]["identity"] = {"digest": str(simulations), "facts": facts}
        content["provenance"] |= {"made_by": [f"commit {commit}"], "hardware": [gpu]}
        (run / "run.json").write_text(json.dumps(content))
    text = comparison_text(compare_runs(before, after))
    for line in (
        "settings: seeds: 0, 1, 2 → 0, 1, 2, 3",
        "settings: --set agent.search.num_simulations: not set → 16",
        "settings: XTRA: agent.search.num_simulations: 50 → 16",
        f"settings: method {METHODS[2].name}: absent → there",
        "code: XTRA: version of stage train: 50 → 16",
        "code: results made by: commit a1 → commit b2",
        "machine: hardware: H100 → A100",
    ):
        assert f"  {line}\n" in text
    same = comparison_text(compare_runs(before, before))
    assert all(f"  {topic}: nothing\n" in same for topic in ("settings", "code", "machine"))
    assert "uncommitted" not in same


@pytest.mark.parametrize(("commits", "warned"), [(("a1", "a1"), True), (("a1", "b2"), False)])
def test_equal_commits_with_uncommitted_changes_are_a_warning(make_run: MakeRun, commits: tuple[str, str], warned: bool) -> None:
    runs = make_run("before"), make_run("after")
    for run, commit in zip(runs, commits, strict=True):
        content = json.loads((run / "run.json").read_text())
        content["provenance"]["made_by"] = [f"commit {commit} with uncommitted changes"]
        (run / "run.json").write_text(json.dumps(content))
    assert ("those may differ although the commit is the same" in comparison_text(compare_runs(*runs))) == warned


def test_the_command_prints_the_comparison_and_writes_the_table(two: Callable[..., tuple[Path, Path]], tmp_path: Path) -> None:
    runs = two(scores("XTRA", Catch=[0.1, 0.5, -0.2]), scores("XTRA", Catch=[0.2, 0.7, 0.1]))
    done = CliRunner().invoke(app, ["compare", *map(str, runs), "--csv", str(tmp_path / "new" / "games.csv")])
    assert done.exit_code == 0
    assert done.stdout.strip() == comparison_text(compare_runs(*runs)).strip()
    table = pd.read_csv(tmp_path / "new" / "games.csv")
    assert table["estimate"].tolist() == pytest.approx([0.2])
    absent = CliRunner().invoke(app, ["compare", str(runs[0]), str(tmp_path / "absent")])
    assert (absent.exit_code, absent.stderr.count("\n")) == (2, 1)
    assert "absent: no such directory" in absent.stderr
    (tmp_path / "empty").mkdir()
    empty = CliRunner().invoke(app, ["compare", str(runs[0]), str(tmp_path / "empty")])
    assert "empty is not a run: it has no run.json" in empty.stderr
    table_of_scores = CliRunner().invoke(app, ["compare", str(runs[0]), str(tmp_path / "new" / "games.csv")])
    assert "games.csv is a file, and a run is a directory; did you mean `xtra-bench report --scores " in table_of_scores.stderr


def brute_force(matrix: np.ndarray[Any, Any]) -> float:
    """The p-value by its definition, one pattern of signs after another."""
    signs = [np.array(pattern).reshape(matrix.shape) for pattern in itertools.product((-1, 1), repeat=matrix.size)]
    means = [abs(np.mean([column.mean() for column in (sign * matrix).T])) for sign in signs]
    observed = abs(np.mean([column.mean() for column in matrix.T]))
    return float(np.mean([value >= observed - 1e-9 for value in means]))


@given(st.lists(st.integers(-5, 5), min_size=6, max_size=6))
def test_the_sign_flip_test_is_its_definition(values: list[int]) -> None:
    matrix = np.array(values, dtype=np.float64).reshape(3, 2)
    assert sign_flip_test(matrix, generator(0)) == pytest.approx(brute_force(matrix))


def test_drawn_patterns_agree_with_counted_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = generator(3, "differences").standard_normal((5, 2)) + 0.4
    counted = sign_flip_test(matrix, generator(0))
    monkeypatch.setattr("xtra_analysis.significance.MOST_COUNTED_PAIRS", 2)
    assert sign_flip_test(matrix, generator(0)) == pytest.approx(counted, abs=0.005)
    assert counted > 0.005


def test_games_with_fewer_pairs_count_as_much() -> None:
    ragged = np.array([[4.0, -3.0], [2.0, np.nan]])
    # In the mean over games the differences count 2, 1 and -3, which add up to 0, so no pattern of signs is less extreme.
    assert sign_flip_test(ragged, generator(0)) == 1.0


@pytest.mark.parametrize("level", [0.05, 0.025, 0.01])
def test_the_least_p_value_falls_below_the_level_at_the_number_of_pairs_that_is_said(level: float) -> None:
    fewest = fewest_for_significance(level)
    least = [sign_flip_test(np.ones((pairs, 1)), generator(0)) for pairs in (fewest - 1, fewest)]
    assert least[0] >= level > least[1]
