"""A suite that includes another's methods."""

from __future__ import annotations

from pathlib import Path

import pytest

from xtra.suite.diagnostics.errors import SuiteError
from xtra.suite.load import load_suite
from xtra.suite.plan import plan

HEAD = "suite: {name}\nversion: 1\nquestion: '?'\nprotocol: catch\npreset: tiny\nseeds: [0]\ntargets: [Catch]\n"
BASELINES = """\
preset: small
set: {training.num_threads: 2}
methods:
  - name: EfficientZero
  - name: Fewer
    base: EfficientZero
    set: {agent.search.num_simulations: 4}
"""


def write(directory: Path, name: str, rest: str) -> Path:
    path = directory / f"{name}.yaml"
    head = HEAD.format(name=name)
    path.write_text((head.replace("preset: tiny\n", "") if "preset:" in rest else head) + rest, encoding="utf-8")
    return path


def test_included_methods_run_under_the_suite_that_includes_them(tmp_path: Path) -> None:
    write(tmp_path, "baselines", BASELINES)
    own = "methods:\n  - name: Fewest\n    base: Fewer\n    set: {agent.search.num_simulations: 2}\n"
    including = plan(load_suite(write(tmp_path, "study", own + "include: [baselines]\n")))
    written_out = plan(load_suite(write(tmp_path, "whole", own + BASELINES.split("methods:\n")[1])))
    assert [cell.method for cell in including.cells] == ["Fewest", "EfficientZero", "Fewer"]
    assert including.jobs.keys() == written_out.jobs.keys()


def test_a_mistake_in_an_included_method_is_told_where_it_stands(tmp_path: Path) -> None:
    baselines = write(tmp_path, "baselines", BASELINES.replace("num_simulations: 4", "num_simulatons: 4"))
    with pytest.raises(SuiteError) as caught:
        load_suite(write(tmp_path, "study", "methods: [{name: A}]\ninclude: [baselines]\n"))
    (problem,) = caught.value.problems
    assert (str(problem.location), problem.remedy) == (f"{baselines}:13:11", "did you mean agent.search.num_simulations?")


@pytest.mark.parametrize("name", ["baseline", "study", "../baselines", "/etc/passwd", "baselines.yaml"])
def test_only_another_suite_beside_this_one_can_be_included(name: str, tmp_path: Path) -> None:
    write(tmp_path, "baselines", BASELINES)
    study = write(tmp_path, "study", f"methods: [{{name: A}}]\ninclude: [{name}]\n")
    with pytest.raises(SuiteError) as caught:
        load_suite(study)
    (problem,) = caught.value.problems
    assert (str(problem.location), problem.message) == (f"{study}:9:11", f"no suite '{name}' beside this one")


def test_a_wrong_include_hides_no_mistake_and_makes_none_up(tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text("partition: gpu\n", encoding="utf-8")
    write(tmp_path, "baselines", BASELINES)
    (tmp_path / "broken.yaml").write_text("a: [", encoding="utf-8")
    own = "methods: [{name: A, base: Theirs, agnet: random}]\nbaseline: Theirs\nsource_method: Theirs\n"
    study = write(tmp_path, "study", own + "include: [nope, broken, 1, baselines]\n")
    with pytest.raises(SuiteError) as caught:
        load_suite(study)
    nope = next(problem for problem in caught.value.problems if "nope" in problem.message)
    assert nope.remedy == f"valid suites in {tmp_path}: baselines"  # neither itself, nor what is no suite
    assert [problem.message.partition(": ")[0] for problem in caught.value.problems] == [
        "not YAML",
        "unknown key 'agnet'",
        "no suite 'nope' beside this one",
        "include",
    ]
    for written, message in {"baselines": "include: 'baselines' is not a list", "": "include is empty"}.items():
        with pytest.raises(SuiteError) as caught:
            load_suite(write(tmp_path, "study", own.replace(", agnet: random", "") + f"include: {written}\n"))
        assert [problem.message for problem in caught.value.problems] == [message]


def test_what_an_included_suite_includes_is_included_once(tmp_path: Path) -> None:
    write(tmp_path, "baselines", BASELINES)
    write(tmp_path, "middle", "methods: [{name: Middle, base: Fewer}]\ninclude: [baselines, study]\n")
    study = write(tmp_path, "study", "methods: [{name: Own, base: Middle}]\ninclude: [middle, baselines]\n")
    assert [method.name for method in load_suite(study).methods] == ["Own", "Middle", "EfficientZero", "Fewer"]


def test_a_name_that_both_suites_use_is_a_duplicate(tmp_path: Path) -> None:
    baselines = write(tmp_path, "baselines", BASELINES)
    with pytest.raises(SuiteError) as caught:
        load_suite(write(tmp_path, "study", "methods: [{name: Fewer}]\ninclude: [baselines]\n"))
    assert [(str(p.location), p.message) for p in caught.value.problems] == [
        (f"{baselines}:11:11", "duplicate method name 'Fewer'")
    ]
