"""The suites that we ship: each is in order, opens with its question, source and cost, and stands in the README's table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.registry import AGENTS
from xtra.config import Config
from xtra.protocol.atari import XTRA_GAMES
from xtra.protocol.families import PROTOCOLS
from xtra.rng import stream
from xtra.suite.diagnostics.errors import SuiteError
from xtra.suite.load import load_suite
from xtra.suite.method import leaves, resolve, value_at
from xtra.suite.plan import plan
from xtra.suite.presets import PRESETS
from xtra.suite.settings import suite_schema
from xtra.suite.spec import MethodSpec, ResourcesSpec, SuiteFile

FOLDER = Path(__file__).parents[2] / "suites"
SUITES = sorted(FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_a_suite_of_ours_plans_and_says_what_it_is_for(path: Path) -> None:
    spec = load_suite(path)
    made = plan(spec)
    assert spec.suite == path.stem
    assert {cell.protocol for cell in made.cells} <= PROTOCOLS.keys()
    opening = path.read_text(encoding="utf-8").split("suite:")[0]
    assert all(f"# {word}: " in opening for word in ("Question", "Source", "Cost"))


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_readme_and_suite_state_the_jobs_and_the_gpu_hours(path: Path) -> None:
    made = plan(load_suite(path))
    (row,) = [
        line for line in (FOLDER / "README.md").read_text(encoding="utf-8").splitlines() if line.startswith(f"| [{path.stem}]")
    ]
    hours = sum(job.resources.hours * job.resources.gpus for job in made.jobs.values())
    assert f"| {len(made.cells)} | {len(made.jobs)} | {hours:,.0f} |" in row
    assert (
        hours == 0
        or f"# Cost: {len(made.jobs):,} jobs; their time limits add up to {hours:,.0f} GPU-hours."
        in path.read_text(encoding="utf-8")
    )


def test_suites_of_the_released_size_without_transfer_act_in_the_games_own_actions_and_all_others_in_ales_18() -> None:
    spaces: dict[str, set[str]] = {}
    for spec in map(load_suite, SUITES):
        for method in spec.methods:
            agent = resolve(spec, method).agent
            if isinstance(agent, EfficientZeroConfig):
                spaces.setdefault(spec.suite, set()).add(agent.network.action_space)
    assert {suite for suite, own in spaces.items() if own == {"game"}} == {"reproduce", "baselines"}
    assert all(own == {"ale18"} for suite, own in spaces.items() if suite not in ("reproduce", "baselines"))


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("EfficientZero", "'EfficientZero' cannot make the data: its agent.network.action_space is game"),
        ("XTRA", "'XTRA': agent.network.action_space is game; games that share a network need ale18"),
    ],
)
def test_methods_that_transfer_are_refused_a_games_own_actions(method: str, message: str, tmp_path: Path) -> None:
    text = (FOLDER / "diverse.yaml").read_text(encoding="utf-8")
    own = "      agent.network.action_space: game\n"
    if method == "XTRA":
        text = text.replace("      transfer.cross_tasks.enabled: true\n", f"      transfer.cross_tasks.enabled: true\n{own}")
    else:
        text = text.replace("  - name: EfficientZero\n", f"  - name: EfficientZero\n    set:\n{own}")
    path = tmp_path / "diverse.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SuiteError) as caught:
        load_suite(path)
    assert [problem.message for problem in caught.value.problems] == [message]


def test_the_reproduction_runs_with_the_released_bounds_and_with_exact_ones() -> None:
    spec = load_suite(FOLDER / "reproduce.yaml")
    bounds = {method.name: value_at(resolve(spec, method), "agent.search.min_max") for method in spec.methods}
    assert bounds == {"EfficientZero": "released", "EfficientZero, exact bounds": "exact"}
    shared = plan(spec).jobs.keys() & plan(load_suite(FOLDER / "baselines.yaml")).jobs.keys()
    assert {key.rpartition("-")[0] for key in shared} == {"train", "evaluate"}


def test_a_suite_that_proves_the_wiring_says_so() -> None:
    for spec in map(load_suite, SUITES):
        if PROTOCOLS[spec.protocol].proves == "wiring":
            assert "wiring, not learning" in spec.question
            assert "nothing about how well" in spec.notes.replace("\n", " ")


def test_the_ablation_and_the_grid_in_the_readme_are_suites(tmp_path: Path) -> None:
    catch, added = plan(load_suite(FOLDER / "catch.yaml")), []
    for block in (FOLDER / "README.md").read_text(encoding="utf-8").split("```yaml\n")[1:]:
        text = block.split("```")[0]
        path = tmp_path / "example.yaml"
        path.write_text((FOLDER / "catch.yaml").read_text(encoding="utf-8") + text, encoding="utf-8")
        added.append(len(plan(load_suite(path)).cells) - len(catch.cells))
    assert added == [5, 10]


def test_the_schema_documents_every_field_and_every_setting() -> None:
    schema = suite_schema()
    assert json.loads(json.dumps(schema)) == schema
    owners: dict[str, type[Config]] = {"": SuiteFile, "MethodSpec": MethodSpec, "ResourcesSpec": ResourcesSpec}
    for name, model in owners.items():
        properties = (schema["$defs"][name] if name else schema)["properties"]
        assert properties.keys() == model.model_fields.keys()
        assert all(field["description"] for field in properties.values())
    settings = schema["$defs"]["Settings"]["properties"]
    assert settings.keys() == set().union(*(leaves(agent) for agent in AGENTS))
    assert all(field["description"] and "default" in field for field in settings.values())
    assert settings["agent.search.policy"]["enum"] == ["puct", "gumbel"]


def test_the_readme_names_every_field_of_a_suite() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    for model in (SuiteFile, MethodSpec, ResourcesSpec):
        assert all(f"`{field}`" in text for field in model.model_fields)


def test_the_readme_names_every_protocol_and_preset() -> None:
    rows = (FOLDER / "README.md").read_text(encoding="utf-8").splitlines()
    for field, names in {"protocol": PROTOCOLS, "preset": PRESETS}.items():
        row = next(line for line in rows if line.startswith(f"| `{field}` |"))
        assert all(f"`{name}`" in row for name in names)


def test_the_random_sources_are_the_draws_that_the_suite_says() -> None:
    spec = load_suite(FOLDER / "random.yaml")
    table = [game for game in XTRA_GAMES if game not in spec.targets]
    drawn = [tuple(sorted(stream(d, "random-sources").choice(table, 8, replace=False).tolist())) for d in range(3)]
    assert [method.sources for method in spec.methods if method.sources is not None] == drawn
