"""Games of several families in one suite, and agents that cannot tell a game's actions apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from xtra.suite.diagnostics.errors import SuiteError
from xtra.suite.load import load_suite
from xtra.suite.plan import plan

SUITE = """
suite: mixed
version: 1
question: Does everything run side by side?
protocol: mixed
preset: tiny
seeds: [0]
targets: [Catch, Breakout@mode=12, "gymnasium:CartPole-v1"]
methods:
  - name: EfficientZero
    set: {agent.network.action_space: declared}
  - name: Random
    agent: random
"""


def load(directory: Path, written: str = "", instead: str = "") -> None:
    assert written in SUITE
    (directory / "mixed.yaml").write_text(SUITE.replace(written, instead))
    load_suite(directory / "mixed.yaml")


def test_games_of_three_families_stand_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "mixed.yaml").write_text(SUITE)
    planned = plan(load_suite(tmp_path / "mixed.yaml"))
    assert {(cell.game, cell.protocol) for cell in planned.cells} == {
        (game, "mixed") for game in ("Catch", "Breakout@mode=12", "gymnasium:CartPole-v1")
    }
    named = {job.config["environment"]["game"]: tuple(job.plugins) for job in planned.jobs.values()}
    assert named == {"Catch": (), "Breakout@mode=12": (), "gymnasium:CartPole-v1": ("gymnasium",)}


@pytest.mark.parametrize(
    ("written", "instead", "message"),
    [
        (
            "    set: {agent.network.action_space: declared}\n",
            "",
            "2 actions of its own, not ALE's: set agent.network.action_space",
        ),
        ("    agent: random\n", "    agent: curl\n", "gymnasium:CartPole-v1 has 2 actions of its own; agent curl knows ALE's 18"),
        (
            "protocol: mixed",
            "protocol: catch",
            "is a game of family gymnasium; protocol catch measures catch",
        ),
        ("CartPole-v1", "CartPol-v1", "Gymnasium has no environment 'CartPol-v1'"),
        ("gymnasium:CartPole-v1", "gymnasium:Pendulum-v1", "discrete"),
        ("Breakout@mode=12", "Breakout@mode=13", "Breakout has no mode 13"),
        ("Breakout@mode=12", "Breakout@mode=0", "'Breakout@mode=0' is called Breakout"),
        ("Breakout@mode=12", "Breakout@made=12", "is not a flavour's name"),
        ("Breakout@mode=12", "Brekout@mode=12", "unknown game 'Brekout'"),
        ("Catch,", "Catch@mode=1,", "Catch has no flavours"),
    ],
)
def test_mistakes_with_flavours_and_families_are_told_where_they_stand(
    tmp_path: Path, written: str, instead: str, message: str
) -> None:
    with pytest.raises(SuiteError) as caught:
        load(tmp_path, written, instead)
    assert message in caught.value.render()
    assert all(problem.location.line for problem in caught.value.problems)
