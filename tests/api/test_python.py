"""`import xtra`: suites, runs and trained agents from Python."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import xtra
import xtra.search
from xtra.cli.main import app
from xtra.envs.config import EnvironmentConfig
from xtra.envs.vector import FrameStacks, make_evaluation_environment
from xtra.store.store import Store

SUITE: dict[str, Any] = {
    "suite": "api", "version": 1, "question": "?", "protocol": "catch", "preset": "tiny", "seeds": [0, 1],
    "targets": ["Catch"], "sources": ["CatchSlow", "CatchRising"], "source_method": "EfficientZero",
    "set": {
        "training.env_steps": 96, "training.updates_per_env_step": 0.05, "training.curve_episodes": 0,
        "transfer.pretraining.updates": 2, "transfer.pretraining.batch_size": 4, "evaluation.num_episodes": 3,
        "agent.acting.num_envs": 4, "agent.replay.min_transitions": 32, "agent.search.num_simulations": 4,
    },
    "methods": [
        {"name": "EfficientZero"},
        {"name": "Random", "agent": "random"},
        {"name": "Pooled", "set": {"transfer.pretraining.method": "multi_task", "transfer.data.policy": "random"}},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("suites") / "api.yaml"
    path.write_text(json.dumps(SUITE), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("api") / "results"


@pytest.fixture(scope="module")
def run(suite: Path, results: Path) -> xtra.Run:
    return xtra.run(suite, seeds=[0], results=results, report=False, workers=2)


@pytest.fixture(scope="module")
def exported(run: xtra.Run, suite: Path, results: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A trained and a pretrained network as files."""
    directory = tmp_path_factory.mktemp("files")
    files = {name: directory / f"{name}.safetensors" for name in ("trained", "pretrained")}
    for name, file in files.items():
        cell = ["Pooled/Catch/0", "--pretrained"] if name == "pretrained" else ["EfficientZero/Catch/0"]
        arguments = ["export", str(suite), *cell, "--out", str(file), "--results", str(results)]
        assert CliRunner().invoke(app, arguments).exit_code == 0
    return files


def first_frames(player: xtra.TrainedPlayer, num_envs: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    environment = make_evaluation_environment(EnvironmentConfig(game=player.game, frame_size=10), num_envs, 5, 100)
    return FrameStacks(environment.reset(), player.frame_stack).stacks


def test_importing_and_planning_import_nothing_heavy() -> None:
    heavy = {"torch", "pandas", "matplotlib", "gymnasium", "ale_py"}
    code = (
        "import sys, xtra\n"
        "light = [name for name in sys.modules if name.startswith('xtra.')]\n"
        "xtra.__version__, xtra.games()['Catch'], xtra.plan('quick'), xtra.load, xtra.run, xtra.TrainedPlayer\n"
        f"print(light, sorted({heavy!r} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[] []\n"


def test_every_public_name_is_there_and_others_are_not() -> None:
    assert all(getattr(xtra, name) is not None for name in xtra.__all__)
    assert dir(xtra) == xtra.__all__
    assert dir(xtra.search) == sorted(xtra.search.__all__)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        xtra.trian  # noqa: B018


def test_games_tell_family_and_actions() -> None:
    assert xtra.games()["Catch"].action_ids == (0, 3, 4)
    assert xtra.games()["Breakout"].family == "atari"


def test_a_plan_takes_settings_seeds_and_globs(suite: Path) -> None:
    plan = xtra.plan(suite, set={"agent.search.num_simulations": 7, "protocol": "catch"}, seeds=[4], only=["EfficientZero"])
    assert [cell.name for cell in plan.cells] == ["EfficientZero/Catch/4"]
    assert plan.jobs[plan.cells[0].evaluate_key].config["agent"]["search"]["num_simulations"] == 7
    assert repr(plan) == "<Plan of suite api: EfficientZero; cells: 1, jobs: 2>"


def test_mistakes_in_a_plan_are_all_told(suite: Path) -> None:
    with pytest.raises(xtra.SuiteError) as caught:
        xtra.plan(suite, set={"agent.serch": 1, "targets": ["Katch"]})
    assert len(caught.value.problems) == 2
    assert str(caught.value) == (
        "set: unknown game 'Katch'\n    targets=[\"Katch\"]\n    ^\n    did you mean 'Catch'?\n\n"
        "set: unknown setting 'agent.serch'\n    agent.serch=1\n    ^\n    agent has precision\n\n2 problems"
    )
    assert pickle.loads(pickle.dumps(caught.value)).problems == caught.value.problems


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"seeds": [-1]}, "seeds: seeds.0: -1 is not at least 0"),
        ({"only": ["EfficientZeor"]}, "only: matches no cell"),
        ({"set": {"plugins": ["my_agent.py"]}}, "set: "),
    ],
)
def test_a_mistake_names_the_parameter_and_not_the_option(suite: Path, arguments: dict[str, Any], told: str) -> None:
    (suite.parent / "my_agent.py").touch()
    with pytest.raises(xtra.SuiteError) as caught:
        xtra.plan(suite, **arguments)
    assert str(caught.value).startswith(told)
    assert "--" not in str(caught.value)


def test_a_suite_whose_name_is_misspelt_is_told_with_the_nearest() -> None:
    with pytest.raises(xtra.SuiteError, match=r"(?s)cathc: .*did you mean catch\?"):
        xtra.plan("cathc")


def test_a_run_leaves_rows_and_says_which_cells_are_complete(run: xtra.Run) -> None:
    assert run.complete
    assert set(run.statuses) == {"EfficientZero/Catch/0", "Random/Catch/0", "Pooled/Catch/0"}
    scores = {row["method"]: row["score"] for row in run.scores()}
    assert set(scores) == {"EfficientZero", "Random", "Pooled"}
    assert all(-1 <= score <= 1 for score in scores.values())


def test_a_run_without_time_leaves_its_cells_missing_and_a_budget_that_is_none_is_refused(suite: Path, tmp_path: Path) -> None:
    left = xtra.run(suite, seeds=[7], only=["Random"], results=tmp_path, budget="0s", report=False)
    assert (left.complete, left.statuses) == (False, {"Random/Catch/7": "missing"})
    with pytest.raises(ValueError, match="for example 6h"):
        xtra.run(suite, seeds=[7], only=["Random"], results=tmp_path / "none", budget="soon")
    assert not (tmp_path / "none").exists()


def test_a_loaded_agent_plays_the_episodes_of_its_evaluation(run: xtra.Run, results: Path) -> None:
    for method in ("EfficientZero", "Random", "Pooled"):
        player = xtra.load(results, f"{method}/Catch/0")
        episodes = player.evaluate(num_episodes=3)
        (score,) = [row["score"] for row in run.scores() if row["method"] == method]
        assert np.mean([episode.episode_return for episode in episodes]) == pytest.approx(score)


def test_act_takes_the_action_that_the_search_prefers(run: xtra.Run, results: Path) -> None:
    player = xtra.load(run.directory, "EfficientZero/Catch/0")
    assert (player.game, player.agent, player.frame_shape, player.action_ids) == (
        "Catch",
        "efficientzero",
        (10, 10, 3),
        (0, 3, 4),
    )
    frames = first_frames(player, 6)
    result = player.search(frames)
    assert result.visit_counts.shape == result.action_weights.shape == (6, len(result.action_ids))
    assert (result.visit_counts.sum(1) == 4).all()
    assert result.root_values.shape == (6,)
    assert (player.act(frames) == result.actions).all()
    assert set(result.actions.tolist()) <= {0, 3, 4}
    unknown = ~np.isin(result.action_ids, player.action_ids)
    assert not result.visit_counts[:, unknown].any()


def test_what_searches_nothing_says_so(run: xtra.Run, results: Path) -> None:
    player = xtra.load(results, "Random/Catch/0")
    with pytest.raises(TypeError, match="without a search"):
        player.search(first_frames(player, 1))


def test_frames_of_another_shape_or_type_are_refused_with_the_right_one(run: xtra.Run, results: Path) -> None:
    player = xtra.load(results, "EfficientZero/Catch/0")
    frames = first_frames(player, 2)
    for wrong in (frames[0], frames / np.float32(255), frames[:, :, :5]):
        with pytest.raises(ValueError, match=rf"takes \[N, {player.frame_stack}, 10, 10, 3\] uint8"):
            player.act(wrong)


def test_an_exported_network_acts_like_the_one_in_the_store(exported: dict[str, Path], run: xtra.Run, results: Path) -> None:
    of_file, of_store = xtra.load(exported["trained"]), xtra.load(results, "EfficientZero/Catch/0")
    frames = first_frames(of_file, 8)
    for ours, theirs in zip(of_file.search(frames), of_store.search(frames), strict=True):
        assert np.array_equal(ours, theirs)
    assert of_file.evaluate(4) == of_store.evaluate(4)


def test_a_pretrained_network_plays_the_game_that_it_is_given(exported: dict[str, Path]) -> None:
    with pytest.raises(xtra.LoadError, match="CatchSlow, CatchRising: say which"):
        xtra.load(exported["pretrained"])
    player = xtra.load(exported["pretrained"], game="CatchNegated")
    assert player.game == "CatchNegated"
    assert len(player.evaluate(2)) == 2


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ("EfficientZero/Catsh/0", "did you mean 'EfficientZero/Catch/0'"),
        ("evaluate-", "is the beginning of 3 jobs"),
        ("dataset-", "trains no agent"),
        (None, "name a cell or key"),
    ],
)
def test_what_leads_to_no_agent_is_told_with_what_does(run: xtra.Run, results: Path, which: str | None, message: str) -> None:
    (dataset, *_) = [key for key in Store(results / "store").keys([]) if key.startswith("dataset-")]
    with pytest.raises(xtra.LoadError, match=message):
        xtra.load(results, dataset if which == "dataset-" else which)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"game": "Catchh"}, "did you mean 'Catch'"),
        ({"which": "EfficientZero/Catch/0"}, "holds one network"),
    ],
)
def test_a_file_is_refused_what_it_cannot_play(exported: dict[str, Path], arguments: dict[str, str], message: str) -> None:
    with pytest.raises(xtra.LoadError, match=message):
        xtra.load(exported["trained"], **arguments)


def test_a_network_of_one_games_actions_is_not_given_a_game_of_others(tmp_path: Path, exported: dict[str, Path]) -> None:
    changed = xtra.plan("reproduce", only=["EfficientZero/Pong/0"])
    train = next(job for job in changed.jobs.values() if job.stage == "train")
    assert train.config["agent"]["network"]["action_space"] == "game"
    from xtra.api.agents import _evaluation

    with pytest.raises(xtra.LoadError, match="knows the 6 actions of Pong alone"):
        _evaluation(train.config, "Breakout", (), "a.safetensors")
    shared = {**train.config, "agent": {**train.config["agent"], "network": {"action_space": "ale18"}}}
    assert _evaluation(shared, "Breakout", (), "a.safetensors").environment.game == "Breakout"
    with pytest.raises(xtra.LoadError, match=r"cannot play Catch: .*multiple of 10 pixels"):
        _evaluation(shared, "Catch", (), "a.safetensors")
    assert _evaluation(train.config, None, (), "a.safetensors").environment.game == "Pong"


def test_a_game_of_another_family_is_played_under_its_own_limit() -> None:
    from xtra.api.agents import _evaluation

    planned = xtra.plan("catch", only=["EfficientZero/Catch/0"])
    fields = planned.jobs[planned.cells[0].evaluate_key].config | {"evaluation": {"max_episode_env_steps": 123}}

    def limit(own: str, chosen: str) -> int:
        environment = {**fields["environment"], "game": own, "frame_size": 50}
        return _evaluation({**fields, "environment": environment}, chosen, ["Catch"], "key").evaluation.max_episode_env_steps

    assert (limit("Catch", "CatchSlow"), limit("", "CatchSlow"), limit("Pong", "Breakout@mode=12")) == (123, 123, 123)
    assert (limit("Catch", "Pong"), limit("", "Pong"), limit("Pong", "Catch")) == (27_000, 27_000, 100)
    assert limit("GameOfAPluginThatIsNotHere", "Pong") == 27_000


def test_play_shows_a_shared_network(exported: dict[str, Path], results: Path, tmp_path: Path) -> None:
    shown = {}
    for name, source in {"file": [str(exported["trained"])], "cell": ["EfficientZero/Catch/0"]}.items():
        out = tmp_path / f"{name}.gif"
        done = CliRunner().invoke(app, ["play", *source, "--out", str(out), "--results", str(results)])
        assert done.exit_code == 0, done.output
        shown[name] = out.read_bytes()
    assert shown["file"] == shown["cell"]
    out = tmp_path / "other.gif"
    done = CliRunner().invoke(app, ["play", str(exported["pretrained"]), "CatchRising", "--out", str(out)])
    assert "9 env steps of CatchRising" in done.output
    with Image.open(out) as video:
        assert video.n_frames == 9
    refused = CliRunner().invoke(app, ["play", str(exported["pretrained"])])
    assert refused.exit_code == 2
    assert "say which one" in refused.output


def test_the_guide_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    guide = (Path(__file__).resolve().parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    assert len(blocks) == 4
    exec("\n".join(blocks), {})
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "3 ['EfficientZero/Catch/0', 'Random/Catch/0']"
    assert printed[1].startswith("True ")
    assert (tmp_path / printed[1].partition(" ")[2]).is_file()
