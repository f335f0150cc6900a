"""Agents and ways of transfer that a plugin registers: their settings are checked as ours are, their jobs name the plugin."""

from __future__ import annotations

from pathlib import Path

import pytest

from xtra.agents.registry import AGENTS
from xtra.protocol.families import FAMILIES
from xtra.suite.diagnostics.errors import SuiteError
from xtra.suite.load import load_suite
from xtra.suite.method import leaves, resolve
from xtra.suite.plan import plan
from xtra.suite.settings import suite_schema
from xtra.transfer.registry import PRETRAINING, STARTS, TASK_WEIGHTS

PLUGIN = '''
from pydantic import Field

from xtra.agents.registry import Agent, AgentConfig
from xtra.transfer.config import PretrainingConfig, StartConfig, TaskWeightConfig
from xtra.transfer.registry import PretrainingObjective, StartProcedure, TaskWeighting


class SoftmaxConfig(TaskWeightConfig):
    method: str = "softmax"
    temperature: float = Field(1.0, gt=0.0)
    """How sharp the weights are."""


class NoisyConfig(StartConfig):
    method: str = "noisy"
    noise: float = Field(0.1, ge=0.0)
    """Standard deviation."""


class EntropyConfig(PretrainingConfig):
    method: str = "entropy"
    bonus: float = 0.1
    """Factor."""


class StillConfig(AgentConfig):
    """Repeats one action."""

    name: str = "still"
    action: int = Field(0, ge=0, le=17)
    """Which."""


STILL = Agent("still", StillConfig, "my_ways:make_player", has_network=False)
SOFTMAX = TaskWeighting("softmax", SoftmaxConfig, "my_ways:Softmax")
NOISY = StartProcedure("noisy", NoisyConfig, "my_ways:noisy")
ENTROPY = PretrainingObjective("entropy", EntropyConfig, {"efficientzero": "my_ways:make_entropy"})
'''
SUITE = """
suite: ways
version: 1
question: Which way?
plugins: [my_ways.py]
protocol: catch
preset: tiny
seeds: [0]
targets: [Catch]
sources: [CatchWide, CatchRising]
source_method: EfficientZero
methods:
  - name: EfficientZero
  - name: Still
    agent: still
    set: {agent.action: 3}
  - name: XTRA
    set: {transfer.pretraining.method: distillation, transfer.cross_tasks.enabled: true}
  - name: softmax
    base: XTRA
    set: {transfer.task_weights.method: softmax, transfer.task_weights.temperature: 2.0}
  - name: uniform again
    base: softmax
    set: {transfer.task_weights.method: uniform}
  - name: noisy
    base: XTRA
    set: {transfer.start.method: noisy, transfer.start.noise: 0.2}
  - name: entropy
    set: {transfer.pretraining.method: entropy, transfer.pretraining.bonus: 0.5}
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    (tmp_path / "my_ways.py").write_text(PLUGIN)
    (tmp_path / "ways.yaml").write_text(SUITE)
    return tmp_path / "ways.yaml"


def test_what_is_built_in_is_registered_by_entry_points_like_anything_else() -> None:
    assert {"efficientzero", "curl", "cloning", "random"} <= AGENTS.keys()
    assert {"periodic_similarity", "mean_similarity", "uniform"} <= TASK_WEIGHTS.keys()
    assert {"distillation", "multi_task", "cloning"} <= PRETRAINING.keys()
    assert list(STARTS) == ["pretrained"]
    for registry in (AGENTS, TASK_WEIGHTS, PRETRAINING, STARTS, FAMILIES):
        assert all(registry.origin(name) is None for name in registry)


def test_only_jobs_that_run_on_the_plugin_name_it(suite: Path) -> None:
    planned = plan(load_suite(suite, trust_plugins=True))
    named = {cell.method: [planned.jobs[key].plugins for key in cell.keys] for cell in planned.cells}
    # keys: the network's job, and its evaluation
    assert not any(any(plugins) for method in ("EfficientZero", "XTRA", "uniform again") for plugins in [named[method]])
    assert all("my_ways.py" in plugins for plugins in named["Still"])
    for method in ("softmax", "noisy"):
        train, evaluate = named[method]
        assert list(train) == ["my_ways.py"], method
        assert not evaluate  # which depends on the plugin by its input's key
    pretrain = [job for job in planned.jobs.values() if job.config.get("pretraining", {}).get("method") == "entropy"]
    assert [list(job.plugins) for job in pretrain] == [["my_ways.py"]]
    assert pretrain[0].config["pretraining"]["bonus"] == 0.5


def test_a_setting_of_another_way_is_passed_over_where_it_is_inherited(suite: Path) -> None:
    spec = load_suite(suite, trust_plugins=True)
    softmax, uniform = (resolve(spec, spec.method(name)).transfer.task_weights for name in ("softmax", "uniform again"))
    assert type(softmax).__name__ == "SoftmaxConfig" and softmax.model_dump()["temperature"] == 2.0
    assert "temperature" not in uniform.model_dump()


@pytest.mark.parametrize(
    ("written", "instead", "message", "remedy"),
    [
        ("temperature: 2.0", "temprature: 2.0", "unknown setting", "did you mean transfer.task_weights.temperature?"),
        ("temperature: 2.0", "temperature: 0.0", "0.0 is not greater than 0", "temperature is a number > 0.0"),
        ("temperature: 2.0", "temperature: hot", "'hot' is not a number", "its default is 1.0"),
        (
            "method: softmax,",
            "method: sotfmax,",
            "'sotfmax' is not one of mean_similarity, periodic",
            "did you mean softmax?",
        ),
        (
            "start.method: noisy,",
            "start.method: pretrained,",
            "transfer.start.noise is a setting of noisy",
            "to noisy, or leave",
        ),
        ("agent: still", "agent: stil", "unknown agent 'stil'", "did you mean 'still'?"),
        ("agent.action: 3", "agent.action: 18", "18 is not at most 17", "agent.action is an integer >= 0 and <= 17"),
        (
            "agent.action: 3",
            "agent.search.policy: gumbel",
            "is a setting of efficientzero, not of still",
            "set it on the methods",
        ),
        ("method: entropy,", "method: entropy2,", "'entropy2' is not one of none, cloning", "did you mean entropy?"),
        (
            "plugins: [my_ways.py]",
            "plugins: my_ways.py",
            "plugins: 'my_ways.py' is not a list",
            'for example: plugins: ["my_games.py"]',
        ),
    ],
)
def test_mistakes_with_a_plugins_settings_are_told_with_place_and_remedy(
    suite: Path, written: str, instead: str, message: str, remedy: str
) -> None:
    assert SUITE.count(written) == 1
    suite.write_text(SUITE.replace(written, instead))
    with pytest.raises(SuiteError) as caught:
        load_suite(suite, trust_plugins=True)
    problem = next(one for one in caught.value.problems if message in one.message)
    line = 1 + SUITE[: SUITE.index(written)].count("\n")
    assert (problem.location.line, remedy in problem.remedy) == (line, True), problem.render()


def test_the_json_schema_knows_what_is_registered(suite: Path) -> None:
    assert "transfer.task_weights.temperature" not in leaves("efficientzero")
    load_suite(suite, trust_plugins=True)
    paths = suite_schema()["$defs"]["Settings"]["properties"]
    assert paths["transfer.task_weights.temperature"]["exclusiveMinimum"] == 0.0
    assert "softmax" in paths["transfer.task_weights.method"]["enum"]


@pytest.mark.parametrize(
    ("code", "message", "remedy"),
    [
        ("X = 1\n", "my_ways.py registers nothing", "it needs one of Family, Agent"),
        ("import absent\n", "my_ways.py cannot be loaded: ModuleNotFoundError: No module named 'absent' (line 1)", ""),
        ("\nX = (\n", "my_ways.py cannot be loaded: SyntaxError: '(' was never closed (line 2)", ""),
        ("raise ValueError('no')\n", "my_ways.py cannot be loaded: ValueError: no (line 1)", ""),
        (PLUGIN.replace('"still", StillConfig', '"curl", StillConfig'), "my_ways.py and xtra-bench both register 'curl'", ""),
        (PLUGIN.replace('"still", StillConfig', '"stiller", StillConfig'), "registers 'stiller': the field `name` of its", ""),
        (PLUGIN.replace("action: int = Field(0, ", "action: int = Field("), "its configuration cannot be made of defaults", ""),
        (PLUGIN.replace('"my_ways:make_player", ', '"my_ways:make_player", "my_ways:L", '), "must be a LearningAgentConfig", ""),
        (
            PLUGIN.replace("temperature: float = Field(1.0, gt=0.0)", "temperature: float"),
            "SoftmaxConfig.temperature has no default",
            "",
        ),
        (PLUGIN.replace("SoftmaxConfig, ", "StillConfig, "), "StillConfig has no field `method`", ""),
    ],
)
def test_mistakes_in_a_plugin_are_told_at_the_place_where_the_suite_names_it(
    suite: Path, code: str, message: str, remedy: str
) -> None:
    (suite.parent / "my_ways.py").write_text(code)
    with pytest.raises(SuiteError) as caught:
        load_suite(suite, trust_plugins=True)
    (problem,) = caught.value.problems
    assert message in problem.message and remedy in problem.remedy, problem.render()
    assert (problem.location.line, problem.location.column) == (5, 11)


@pytest.mark.parametrize(
    ("reference", "message", "remedy"),
    [
        ("my_way.py", "no file", "there is my_ways.py"),
        ("my-ways.py", "my-ways.py cannot be imported by its name", "letters, digits and '_'"),
        ("random.py", "random.py has the name of the module random", "rename the file"),
        ("my_ways", "no module 'my_ways' is installed", "did you mean my_ways.py?"),
        ("absent_package.games", "no module 'absent_package' is installed", "install absent_package"),
        ("./my ways", "'./my ways' is not a plugin", "name a .py file, or an installed module"),
        ("latin.py", "latin.py is not UTF-8", "save it as UTF-8"),
    ],
)
def test_references_that_lead_nowhere_are_told(suite: Path, reference: str, message: str, remedy: str) -> None:
    (suite.parent / "random.py").write_text(PLUGIN)
    (suite.parent / "latin.py").write_bytes("ä".encode("latin-1"))
    suite.write_text(SUITE.replace("[my_ways.py]", f'["{reference}"]'))
    if reference == "my_way.py":
        (suite.parent / "random.py").unlink()
        (suite.parent / "latin.py").unlink()
    with pytest.raises(SuiteError) as caught:
        load_suite(suite, trust_plugins=True)
    (problem,) = caught.value.problems
    assert message in problem.message and remedy in problem.remedy, problem.render()
