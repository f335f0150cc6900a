"""Runs become one study, or are refused with a message that teaches."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner, Result
from xtra_analysis import InputError, estimate, load, write_report
from xtra_analysis.study import read_study
from xtra_analysis.synthetic import METHODS

from xtra.cli.report import report

MakeRun = Callable[..., Path]


def invoke(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(report)
    return CliRunner().invoke(app, arguments)


def rewrite(path: Path, pattern: str, replacement: str) -> None:
    path.write_text(re.sub(pattern, replacement, path.read_text()))


def test_a_planned_cell_without_a_row_is_missing_too(make_run: MakeRun) -> None:
    run = make_run("run")
    lines = (run / "scores.csv").read_text().splitlines(keepends=True)
    (run / "scores.csv").write_text("".join(lines[:-1]))
    dropped = lines[-1].split(",")
    frame = load(run)
    row = frame[(frame["method"] == dropped[3]) & (frame["game"] == dropped[5]) & (frame["seed"] == int(dropped[6]))]
    assert row["status"].tolist() == ["missing"]


def test_the_command_prints_the_path_of_the_page_beside_the_rows(make_run: MakeRun) -> None:
    run = make_run("run")
    result = invoke(str(run), "--seed", "3")
    assert result.exit_code == 0
    assert result.output.splitlines()[-1] == str(run / "report.html")
    assert "bootstrap seed 3" in (run / "report.html").read_text(encoding="utf-8")


def test_a_directory_of_runs_is_one_study(make_run: MakeRun, tmp_path: Path) -> None:
    parts = [make_run("parts/first_machine", seeds=range(2)), make_run("parts/second_machine", seeds=range(2, 4))]
    together = tmp_path / "parts"
    assert load(together)["seed"].drop_duplicates().tolist() == [0, 1, 2, 3]
    assert read_study([together]).scores.equals(read_study(parts).scores)
    result = invoke(str(together))
    assert result.exit_code == 0 and result.output.splitlines()[-1] == str(together / "report.html")
    again = write_report([together], tmp_path / "again")
    assert again.read_bytes() == (together / "report.html").read_bytes() == write_report(parts, tmp_path / "parted").read_bytes()


def test_protocols_are_never_mixed(make_run: MakeRun) -> None:
    runs = [make_run("one"), make_run("two", protocol="atari100k+training.env_steps=50000")]
    with pytest.raises(InputError, match=r"atari100k\+training.env_steps=50000.*never put together"):
        read_study(runs)


def identify(run: Path, **facts: Any) -> None:
    """Gives the run's XTRA an identity that consists of those facts."""
    record = json.loads((run / "run.json").read_text())
    record["methods"][1]["identity"] = {"digest": repr(facts), "facts": facts}
    (run / "run.json").write_text(json.dumps(record))


def test_different_experiments_of_one_name_are_refused_and_what_differs_is_said(make_run: MakeRun) -> None:
    first, second = make_run("one", seeds=range(2)), make_run("two", seeds=range(2, 4))
    identify(first, sources=["CatchInverted"], pretrain_seeds=[0])
    identify(second, sources=["CatchWide"], pretrain_seeds=[0])
    with pytest.raises(
        InputError, match=r"two: .*'XTRA' is another .*one: sources is CatchInverted there and CatchWide here\. R"
    ):
        read_study([first, second])
    identify(second, sources=["CatchInverted"], pretrain_seeds=[0])
    assert len(read_study([first, second]).complete) > 0


def test_a_method_whose_identity_was_not_recorded_is_not_put_together_with_one_whose_was(make_run: MakeRun) -> None:
    first, second = make_run("one", seeds=range(2)), make_run("two", seeds=range(2, 4))
    identify(first, sources=["CatchInverted"])
    with pytest.raises(InputError, match="only one of them records what it is"):
        read_study([first, second])


def test_versions_of_a_suite_are_never_mixed(make_run: MakeRun) -> None:
    first, second = make_run("one", seeds=range(2)), make_run("two", seeds=range(2, 4))
    rewrite(second / "run.json", '"suite_version": 1', '"suite_version": 2')
    with pytest.raises(InputError, match=r"one is version 1 of suite 'synthetic', .*two version 2"):
        read_study([first, second])


def test_versions_of_a_suite_are_not_mixed_beside_an_older_run_of_another_suite(make_run: MakeRun) -> None:
    other = make_run("other", methods=METHODS[2:3])
    rewrite(other / "run.json", '"suite": "synthetic"', '"suite": "another"')
    rewrite(other / "run.json", '"created": "2026', '"created": "2025')
    first, second = make_run("one", seeds=range(2)), make_run("two", seeds=range(2, 4))
    rewrite(second / "run.json", '"suite_version": 1', '"suite_version": 2')
    assert read_study([other, first]).records[0].suite == "another"
    with pytest.raises(InputError, match=r"one is version 1 of suite 'synthetic', .*two version 2"):
        read_study([other, first, second])


def test_a_cell_that_one_run_lacks_and_another_has_counts_as_the_other_has_it(make_run: MakeRun) -> None:
    whole, parts = make_run("whole"), [make_run("one"), make_run("two")]
    for run, statuses in zip(parts, (("missing", "failed"), ("failed", "missing")), strict=True):
        lines = (run / "scores.csv").read_text().splitlines(keepends=True)
        absent = lines[1:3] if run.name == "one" else lines[3:5]
        for line, status in zip(absent, statuses, strict=True):
            lines[lines.index(line)] = re.sub("complete,[0-9.-]+", f"{status},", line)
        (run / "scores.csv").write_text("".join(lines))
        assert len(read_study([run]).missing) == 2
    assert read_study(parts).scores.equals(read_study([whole]).scores)


def test_jobs_that_two_machines_ran_count_once_with_the_times_of_the_oldest_run(make_run: MakeRun) -> None:
    first, second = make_run("one"), make_run("two")
    rewrite(first / "run.json", '"created": "2026', '"created": "2025')
    costs = pd.read_csv(second / "costs.csv")
    costs.assign(seconds=costs["seconds"] + 0.001, device="cuda").to_csv(second / "costs.csv", index=False)
    assert read_study([second, first]).tables["costs"].equals(read_study([first]).tables["costs"])


def test_runs_of_one_protocol_make_one_study_with_ragged_seeds(make_run: MakeRun, tmp_path: Path) -> None:
    runs = [make_run("one"), make_run("two", methods=METHODS[:1], seeds=range(3, 6))]
    table = estimate(load(runs), reps=200).set_index(["method", "statistic"])
    assert table.loc[("EfficientZero", "iqm"), "max_runs"] == 6
    assert table.loc[("XTRA", "iqm"), "max_runs"] == 3
    assert write_report(runs, tmp_path / "out").is_file()


def test_rows_that_contradict_each_other_are_refused(make_run: MakeRun) -> None:
    runs = [make_run("one"), make_run("two", seed=1)]
    with pytest.raises(InputError, match=r"two different rows for .*method EfficientZero.*give only one"):
        read_study(runs)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: (run / "run.json").unlink(), "it has no run.json"),
        (lambda run: (run / "run.json").write_text("{"), "is not JSON"),
        (lambda run: (run / "run.json").write_text('{"schema_version": 99}'), "schema_version 99"),
        (lambda run: (run / "run.json").write_text('{"schema_version": 2}'), "key 'suite' is missing"),
        (lambda run: rewrite(run / "run.json", '"human"', '"elo"'), "normalization is 'elo'; valid are 'human' and 'maximum'"),
        (lambda run: (run / "scores.csv").unlink(), "has no scores.csv"),
        (
            lambda run: rewrite(run / "scores.csv", ",complete,", ",done,"),
            "column status: 'done': input should be 'complete', 'diverged'",
        ),
        (lambda run: rewrite(run / "scores.csv", "XTRA", "XTRO"), "method 'XTRO' is none of EfficientZero, XTRA"),
        (lambda run: rewrite(run / "scores.csv", "atari100k", "atari200k"), "protocol 'atari200k' is none of atari100k"),
        (lambda run: rewrite(run / "scores.csv", r"complete,[0-9.]+", "complete,nan"), "is complete but its score is nan"),
        (lambda run: (run / "scores.csv").write_text("a,b\n1,2\n"), "columns"),
        (lambda run: rewrite(run / "scores.csv", ",32,", ",many,"), "num_episodes"),
        (lambda run: rewrite(run / "scores.csv", r"complete,[0-9.]+", "complete,1e300"), "has score 1e+300, too large"),
        (lambda run: rewrite(run / "scores.csv", r",2,complete", f",{10**23},complete"), "column seed: '1" + "0" * 23 + "'"),
        (lambda run: rewrite(run / "scores.csv", r",32,", ","), "line 2 does not have 15 columns"),
        (lambda run: rewrite(run / "scores.csv", r",32,", ",32,32,"), "line 2 does not have 15 columns"),
        (lambda run: rewrite(run / "curves.csv", r"100000,", "-3,"), "column env_steps: '-3'"),
        (lambda run: (run / "curves.csv").write_bytes(bytes(300)), "curves.csv: "),
        (lambda run: (run / "curves.csv").write_bytes(b"\xff\xfe\x00"), "curves.csv: "),
        (lambda run: rewrite(run / "run.json", r'"hardware": \[[^]]*\]', '"hardware": null'), "provenance.hardware is None: "),
        (lambda run: rewrite(run / "run.json", r'"seeds": \[', f'"seeds": [{10**23},'), "seeds.0 is 1" + "0" * 23),
        (lambda run: rewrite(run / "run.json", r'"games": \[', '"games": [null,'), "games.0 is None: "),
        (lambda run: (run / "run.json").write_text("[" * 100_000), "is not JSON"),
        (lambda run: (run / "run.json").write_bytes(b"\xff"), "is not JSON"),
    ],
)
def test_broken_runs_are_told_apart_without_a_traceback(make_run: MakeRun, spoil: Callable[[Path], object], message: str) -> None:
    run = make_run("broken")
    spoil(run)
    result = invoke(str(run))
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output
