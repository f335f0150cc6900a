"""Suite `transferability`: every game a source and a target of every other, each pair probed, and nothing trained otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from xtra.results.describe import describe
from xtra.suite.diagnostics.errors import SuiteError
from xtra.suite.load import load_suite
from xtra.suite.plan import plan

PATH = Path(__file__).parents[2] / "suites" / "transferability.yaml"

Edit = Callable[..., Path]


@pytest.fixture
def edited(tmp_path: Path) -> Edit:
    """Writes the suite with some of its fields, and some settings of its first pair, replaced."""

    def write(settings: dict[str, Any] | None = None, first_pair: dict[str, Any] | None = None, **fields: Any) -> Path:
        suite = YAML(typ="safe").load(PATH) | fields
        suite["methods"][1]["set"] |= settings or {}
        suite["methods"][1] |= first_pair or {}
        path = tmp_path / "edited.yaml"
        path.write_text(json.dumps(suite), encoding="utf-8")
        return path

    return write


def test_every_game_is_a_source_of_every_other_and_never_of_itself() -> None:
    made = plan(load_suite(PATH))
    pairs = {(cell.method.removeprefix("From "), cell.game) for cell in made.cells if cell.method != "EfficientZero"}
    games = made.spec.targets
    assert pairs == {(source, target) for source in games for target in games if source != target}
    assert len(made.cells) == (8 + 56) * 5
    (record,) = [method for method in describe(made, "").fields.methods if method.name == "From Catch"]
    assert record.left_out == ("Catch",)


@pytest.mark.parametrize(("name", "num_games"), [("transferability_minatar", 5), ("transferability_flavours", 4)])
def test_the_suites_of_other_families_pair_their_games_alike_and_fix_the_same_predictors(name: str, num_games: int) -> None:
    spec = load_suite(PATH.with_name(f"{name}.yaml"))
    pairs = {(method.sources, cell.game) for method in spec.methods for cell in plan(spec).cells if cell.method == method.name}
    assert {(source, game) for (source,), game in (pair for pair in pairs if pair[0])} == {
        (source, target) for source in spec.targets for target in spec.targets if source != target
    }
    assert len(spec.targets) == num_games
    predictors = "transfer.probes.predictors"
    assert spec.methods[1].set[predictors] == load_suite(PATH).methods[1].set[predictors]


def test_a_probe_reads_the_network_its_source_s_data_and_random_play_of_the_target() -> None:
    made = plan(load_suite(PATH))
    (cell,) = [cell for cell in made.cells if (cell.method, cell.game, cell.seed) == ("From CatchSlow", "CatchWide", 3)]
    probe = made.jobs[cell.probe_key or ""]
    assert cell.keys == (probe.key, cell.train_key, cell.evaluate_key)
    stages = {role: [made.jobs[key].stage for key in keys] for role, keys in probe.inputs.items()}
    assert stages == {"pretrained": ["pretrain"], "dataset": ["dataset"], "target": ["dataset"]}
    source, target = (made.jobs[probe.inputs[role][0]].config for role in ("dataset", "target"))
    assert (source["environment"]["game"], source["data"]["policy"]) == ("CatchSlow", "agent")
    assert (target["environment"]["game"], target["data"]["policy"], target["seed"]) == ("CatchWide", "random", 3)
    assert target["env_steps"] == 1_000
    # All seven sources of a target are judged by the same play.
    others = [made.jobs[c.probe_key or ""] for c in made.cells if (c.game, c.seed) == ("CatchWide", 3) and c.probe_key]
    assert {job.inputs["target"] for job in others} == {probe.inputs["target"]}
    assert len(others) == 7


def test_probes_change_no_job_that_trains(edited: Edit) -> None:
    probed, plain = plan(load_suite(PATH)), plan(load_suite(edited({"transfer.probes.predictors": []})))
    assert [cell.train_key for cell in probed.cells] == [cell.train_key for cell in plain.cells]
    assert all(cell.probe_key is None for cell in plain.cells)
    assert {job.stage for key, job in probed.jobs.items() if key not in plain.jobs} == {"probe", "dataset"}


@pytest.mark.parametrize(
    ("settings", "first_pair", "message"),
    [
        ({}, {"sources": ["Catch", "CatchSlow"]}, "'From Catch' has probes, which are of one source and one target, and 2"),
        ({"transfer.pretraining.method": "none"}, {}, "transfer.probes.predictors is set, but nothing is pretrained"),
        ({"agent.targets.num_unroll_steps": 3}, {}, "names unroll step 5; agent.targets.num_unroll_steps is 3"),
        ({}, {"targets": "all"}, "Catch is a target: its data would be known before it is learned"),
    ],
)
def test_what_could_not_be_probed_is_refused(
    settings: dict[str, Any], first_pair: dict[str, Any], message: str, edited: Edit
) -> None:
    with pytest.raises(SuiteError) as caught:
        load_suite(edited(settings, first_pair))
    assert any(message in problem.message for problem in caught.value.problems)


def test_a_method_whose_sources_are_all_the_targets_is_refused(edited: Edit) -> None:
    with pytest.raises(SuiteError) as caught:
        load_suite(edited(targets=["Catch"]))
    assert any("'From Catch' has no target beside its sources" in problem.message for problem in caught.value.problems)
