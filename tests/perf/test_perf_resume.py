"""`xtra-bench perf resume`, with few kills; 100 are for a quiet machine."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from xtra.cli.perf import app
from xtra.perf import resume


def test_runs_killed_at_random_moments_end_as_if_they_had_not_been() -> None:
    figures = resume.report(num_kills=4, seed=1, kills_per_run=2)
    assert (figures["kills"], figures["stops"]) == (2, 2)
    assert figures["identical_runs"] == figures["runs"] >= 1
    assert figures["different"] == []


def test_a_run_that_ends_differently_is_named_and_fails_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = {"first": "a", "undisturbed": "a", "killed": "b"}

    def pretended(directory: Path, config: object, blows: Sequence[resume.Blow]) -> tuple[dict[str, str], float, Counter[int]]:
        directory.mkdir(exist_ok=True)
        return {"network.pt": outputs[directory.name], "curve.json": "c"}, 1.0, Counter(blow.signal for blow in blows)

    monkeypatch.setattr(resume, "_run", pretended)
    result = CliRunner().invoke(app, ["resume", "--kills", "2"])
    assert result.exit_code == 1
    assert "0 of 1 runs" in result.output
    assert "different: network.pt" in result.output
