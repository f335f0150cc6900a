"""Methods with a `grid`: what they stand for, and where their mistakes are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from xtra.suite.diagnostics.errors import SuiteError
from xtra.suite.load import load_suite
from xtra.suite.method import resolve, value_at
from xtra.suite.plan import plan
from xtra.suite.spec import SuiteSpec

HEAD = """\
suite: example
version: 1
question: "?"
protocol: catch
preset: tiny
seeds: [0]
targets: [Catch]
methods:
  - name: EfficientZero
"""
GRID = """\
  - name: Variant
    base: EfficientZero
    set: {training.num_threads: 2}
    grid:
      agent.search.num_simulations: [2, 4]
      agent.optimizer.augmentation: [none, shift_intensity]
  - name: Random
    agent: random
"""


def load(text: str, directory: Path) -> SuiteSpec:
    path = directory / "example.yaml"
    path.write_text(HEAD + text, encoding="utf-8")
    return load_suite(path)


def problems(text: str, directory: Path) -> list[tuple[int, int, str]]:
    with pytest.raises(SuiteError) as caught:
        load(text, directory)
    return [(one.location.line, one.location.column, one.message) for one in caught.value.problems]


def test_each_combination_is_a_method_and_computes_what_the_method_written_out_would(tmp_path: Path) -> None:
    spec = load(GRID, tmp_path)
    settings = {
        method.name: (
            value_at(resolve(spec, method), "agent.search.num_simulations"),
            value_at(resolve(spec, method), "agent.optimizer.augmentation"),
            value_at(resolve(spec, method), "training.num_threads"),
        )
        for method in spec.methods
        if method.name.startswith("Variant")
    }
    assert settings == {
        f"Variant, num_simulations={number}, augmentation={augmentation}": (number, augmentation, 2)
        for number in (2, 4)
        for augmentation in ("none", "shift_intensity")
    }
    assert [method.name for method in spec.methods][-1] == "Random"
    written = [
        {"name": f"{number}", "base": "EfficientZero", "set": {
            "training.num_threads": 2, "agent.search.num_simulations": simulations, "agent.optimizer.augmentation": augmentation,
        }}
        for number, (simulations, augmentation) in enumerate((s, a) for s in (2, 4) for a in ("none", "shift_intensity"))
    ]  # fmt: skip
    data: dict[str, Any] = YAML(typ="safe").load(HEAD)
    data["methods"] += [*written, {"name": "Random", "agent": "random"}]
    assert plan(spec).jobs.keys() == plan(SuiteSpec.model_validate_json(json.dumps(data))).jobs.keys()


def test_a_mistake_in_a_grid_is_told_where_it_stands_and_once(tmp_path: Path) -> None:
    wrong = GRID.replace("num_simulations: [2, 4]", "num_simulatons: [2, 4]")
    assert problems(wrong, tmp_path) == [(14, 7, "unknown setting 'agent.search.num_simulatons'")]
    assert [message for *_, message in problems(GRID.replace("[2, 4]", "[2, 0]"), tmp_path)] == [
        "agent.search.num_simulations: 0 is not at least 1"
    ]


def test_a_mistake_after_a_grid_is_told_where_it_stands(tmp_path: Path) -> None:
    assert problems(GRID.replace("agent: random", "agent: randm"), tmp_path) == [(17, 12, "unknown agent 'randm'")]


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ("3", "methods.1.grid: 3 is not a mapping"),
        ("{agent.search.num_simulations: 3}", "methods.1.grid.agent.search.num_simulations: 3 is not a list"),
        ("{agent.search.num_simulations: []}", "methods.1.grid.agent.search.num_simulations is empty"),
    ],
)
def test_what_is_no_grid_is_refused(grid: str, message: str, tmp_path: Path) -> None:
    text = f"  - name: Variant\n    base: EfficientZero\n    grid: {grid}\n"
    assert [found for *_, found in problems(text, tmp_path)] == [message]


def test_a_grid_of_millions_is_refused_unbuilt(tmp_path: Path) -> None:
    values = ", ".join(map(str, range(1, 101)))
    paths = ("agent.search.num_simulations", "training.num_threads", "agent.optimizer.batch_size", "evaluation.num_episodes")
    text = "  - name: Variant\n    grid:\n" + "".join(f"      {path}: [{values}]\n" for path in paths)
    assert problems(text, tmp_path) == [(11, 5, "grid makes 100,000,000 methods")]


def test_settings_with_one_last_word_keep_their_paths_in_the_names(tmp_path: Path) -> None:
    text = "  - name: V\n    grid: {agent.search.discount: [0.9], agent.targets.td_steps: [1]}\n"
    assert load(text, tmp_path).methods[-1].name == "V, discount=0.9, td_steps=1"
    text = "  - name: V\n    grid: {training.num_threads: [1], evaluation.num_threads: [2]}\n"
    assert load(text, tmp_path).methods[-1].name == "V, training.num_threads=1, evaluation.num_threads=2"


def test_a_grid_of_lists_and_of_nothing_can_be_written(tmp_path: Path) -> None:
    text = (
        "  - name: V\n    set: {transfer.pretraining.method: none}\n"
        "    grid: {transfer.start.components: [[representation], [representation, dynamics]]}\n"
    )
    assert [method.name for method in load(text, tmp_path).methods][1:] == [
        'V, components=["representation"]',
        'V, components=["representation", "dynamics"]',
    ]
