"""What a run says of itself before anything is computed."""

from pathlib import Path

import pytest

from xtra.execute import suite_run
from xtra.execute.suite_run import describe
from xtra.suite.errors import SuiteError
from xtra.suite.load import load_suite
from xtra.suite.plan import plan

SUITES = Path(__file__).resolve().parents[2] / "suites"


@pytest.mark.parametrize(
    ("suite", "changes", "proves"),
    [("catch", (), "learning"), ("quick", (), "wiring"), ("catch", ("size=smoke",), "wiring")],
)
def test_a_run_that_teaches_nothing_says_so(suite: str, changes: tuple[str, ...], proves: str) -> None:
    about = describe(plan(load_suite(SUITES / f"{suite}.yaml", changes)), "")
    assert about.run["proves"] == proves


def test_a_run_says_what_of_its_protocol_it_overrides() -> None:
    about = describe(plan(load_suite(SUITES / "catch.yaml", ("evaluation.num_episodes=2",))), "")
    assert about.run["protocol_summary"].endswith("Overridden here: evaluation.num_episodes=2.")


def test_a_missing_extra_is_told_before_the_first_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite_run, "find_spec", lambda name: None)
    suite_run.require_extras(plan(load_suite(SUITES / "catch.yaml")))
    with pytest.raises(SuiteError) as caught:
        suite_run.require_extras(plan(load_suite(SUITES / "minatar.yaml")))
    assert "MinAtarBreakout needs the extra `minatar`\n    pip install 'xtra-bench[minatar]'" in caught.value.render()
