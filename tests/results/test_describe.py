"""What a run says of itself before anything is computed."""

from pathlib import Path
from typing import Any

import pytest

from xtra.execute import suite_run
from xtra.results.describe import describe
from xtra.results.run_record import Identity
from xtra.suite.diagnostics.errors import SuiteError
from xtra.suite.load import load_suite
from xtra.suite.plan import plan

SUITES = Path(__file__).resolve().parents[2] / "suites"


@pytest.mark.parametrize(
    ("suite", "changes", "proves"),
    [("catch", (), "learning"), ("quick", (), "wiring"), ("catch", ("size=smoke",), "wiring")],
)
def test_a_run_that_teaches_nothing_says_so(suite: str, changes: tuple[str, ...], proves: str) -> None:
    description = describe(plan(load_suite(SUITES / f"{suite}.yaml", changes)), "")
    assert description.fields.proves == proves


def test_a_run_says_what_of_its_protocol_it_overrides() -> None:
    description = describe(plan(load_suite(SUITES / "catch.yaml", ("evaluation.num_episodes=2",))), "")
    assert description.fields.protocol_summary.endswith("Overridden here: evaluation.num_episodes=2.")


def identity(suite: str, method: str, *changes: str, **options: Any) -> Identity:
    description = describe(plan(load_suite(SUITES / f"{suite}.yaml", changes, **options)), "")
    (record,) = [record for record in description.fields.methods if record.name == method]
    assert record.identity is not None
    return record.identity


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        (("sources=[CatchInverted]",), "sources"),
        (("pretrain_seeds=[3]",), "pretrain_seeds"),
        (("transfer.pretraining.method=none",), "transfer.pretraining.method"),
        (("training.env_steps=700",), "training.env_steps"),
        (("agent.optimizer.batch_size=8",), "agent.optimizer.batch_size"),
    ],
)
def test_whatever_reaches_the_keys_of_a_methods_jobs_is_part_of_its_identity(changes: tuple[str, ...], fact: str) -> None:
    plain, changed = identity("catch_transfer", "XTRA"), identity("catch_transfer", "XTRA", *changes)
    assert plain.digest != changed.digest
    assert fact in {name for name, *_ in plain.differences(changed)}


def test_other_targets_are_another_experiment_when_the_targets_are_other_ones() -> None:
    three, two = (
        identity("catch_transfer", "XTRA", "sources=[other_targets]", f"targets=[{targets}]")
        for targets in ("Catch,CatchInverted,CatchWide", "Catch,CatchInverted")
    )
    assert [name for name, *_ in three.differences(two)] == ["sources"] and three.digest != two.digest


def test_seeds_and_targets_are_no_part_of_a_methods_identity() -> None:
    plain = identity("catch_transfer", "XTRA", "sources=[CatchInverted]", "targets=[Catch]")
    other = identity("catch_transfer", "XTRA", "sources=[CatchInverted]", "targets=[CatchWide]", seeds=(7, 8))
    assert plain == other


def test_a_method_without_transfer_is_the_same_whatever_the_sources() -> None:
    changes = ("sources=[CatchInverted]", "pretrain_seeds=[4]")
    assert identity("catch_transfer", "EfficientZero") == identity("catch_transfer", "EfficientZero", *changes)


def test_fields_of_the_suite_that_the_command_line_changed_are_recorded() -> None:
    changes = ("sources=[CatchInverted]", "size=smoke", "training.num_threads=2")
    description = describe(plan(load_suite(SUITES / "catch_transfer.yaml", changes)), "")
    assert description.fields.command_line == {"sources": ["CatchInverted"], "size": "smoke", "training.num_threads": 2}


def test_a_missing_extra_is_told_before_the_first_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite_run, "find_spec", lambda name: None)
    suite_run.require_extras(plan(load_suite(SUITES / "catch.yaml")))
    with pytest.raises(SuiteError) as caught:
        suite_run.require_extras(plan(load_suite(SUITES / "minatar.yaml")))
    assert "MinAtarBreakout needs the package `minatar`\n    pip install 'xtra-bench[minatar]'" in caught.value.render()
