"""The command line's changes: what they change, and what is said about wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from xtra.suite.diagnostics.errors import SuiteError
from xtra.suite.load import load_suite
from xtra.suite.overrides import parse_seeds

CATCH = Path(__file__).parents[2] / "suites" / "catch.yaml"


def test_a_field_of_the_suite_is_replaced() -> None:
    spec = load_suite(CATCH, ["seeds=[7, 8]", "notes=short", "resources.train.cpus=2", "question='Why: that'"])
    assert (spec.seeds, spec.notes, spec.resources["train"].cpus, spec.question) == ((7, 8), "short", 2, "Why: that")


def test_seeds_from_their_own_option_win() -> None:
    assert load_suite(CATCH, ["seeds=[7, 8]"], seeds=[3]).seeds == (3,)


def test_the_last_of_two_changes_of_one_setting_wins() -> None:
    spec = load_suite(CATCH, ["training.num_threads=2", "training.num_threads=3"])
    assert spec.command_line == {"training.num_threads": 3}


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("0", (0,)), ("0,1", (0, 1)), ("3-5,1", (3, 4, 5, 1)), (" 2 , 4 ", (2, 4))],
)
def test_seeds_are_numbers_and_ranges(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        ("99999999999", "99999999999 is too large for a seed", "at most 2147483647"),
        ("0-99999999999", "99999999999 is too large for a seed", "at most 2147483647"),
        ("0," + "9" * 5000, f"{'9' * 40} is too large for a seed", "at most 2147483647"),
        ("5-3", "5-3 runs backwards", "write 3-5"),
        ("0-1000", "0-1000 is 1,001 seeds", "at most 1,000"),
    ],
)
def test_seeds_that_cannot_be_are_refused_for_what_is_wrong_with_them(text: str, message: str, remedy: str) -> None:
    with pytest.raises(SuiteError) as caught:
        parse_seeds(text)
    (problem,) = caught.value.problems
    assert (problem.message, problem.remedy) == (message, remedy)


@pytest.mark.parametrize("text", ["", "a", "-1", "1,,2", "1.5", "٣"])
def test_what_is_no_list_of_seeds_is_refused(text: str) -> None:
    with pytest.raises(SuiteError) as caught:
        parse_seeds(text)
    assert caught.value.problems[0].remedy == "for example: --seeds 0,1,5-9"


WRONG = {
    "agnet.search.num_simulations=4": (
        "unknown setting 'agnet.search.num_simulations'",
        "did you mean agent.search.num_simulations?",
    ),
    "num_simulations=4": ("unknown setting 'num_simulations'", "did you mean agent.search.num_simulations?"),
    "protocl=catch": ("unknown setting 'protocl'", "did you mean protocol?"),
    "agent.search=4": (
        "agent.search is a block, not a setting",
        "set its fields one by one: agent.search.dirichlet_alpha, agent.search.discount, agent.search.exploration_visits, "
        "agent.search.gumbel_min_span, agent.search.gumbel_value_scale, agent.search.gumbel_visit_offset, "
        "agent.search.lstm_horizon, agent.search.max_considered_actions, ...",
    ),
    "agent.search.num_simulations=4.5": (
        "agent.search.num_simulations: 4.5 is not an integer",
        "agent.search.num_simulations is an integer >= 1 and <= 10000; its default is 50, here 8",
    ),
    "training.env_steps": ("is not of the form path=value", "for example: --set agent.search.num_simulations=16"),
    "agent.optimizer.learning=4": (
        "unknown setting 'agent.optimizer.learning'",
        "did you mean agent.optimizer.learning_rate?",
    ),
    "training.foo=4": (
        "unknown setting 'training.foo'",
        "training has checkpoint_interval, curve_episodes, curve_interval, env_steps, final_updates, num_threads, "
        "updates_per_env_step",
    ),
    "foo=4": ("unknown setting 'foo'", "a path starts with environment., agent., training., transfer. or evaluation."),
    "seeds=0-3": ("seeds: '0-3' is not a list", "use --seeds, which takes ranges: --seeds 0,1,5-9"),
    "seeds=[-1]": ("seeds.0: -1 is not at least 0", "for example: seeds: [0, 1, 2]"),
    "seeds.0=1": ("`seeds` has no parts", "replace it as a whole: --set seeds=..."),
    "methods=[]": (
        "`methods` cannot be replaced from the command line",
        "write the configuration path itself: --set agent.search.num_simulations=16",
    ),
    "question=[Why": (
        "not YAML: expected ',' or ']', but got '<stream end>'",
        "quote the value, and the whole for the shell: --set 'question=\"Why: that\"'",
    ),
    "targets=[Pnog]": ("unknown game 'Pnog'", "did you mean 'Pong'?"),
    "size=smok": ("unknown size 'smok'", "did you mean 'smoke'?"),
    "resources.trian.cpus=1": ("unknown stage 'trian'", "did you mean 'train'?"),
    "resources.train.slurm.partiton=gpu": ("unknown key 'partiton'", "did you mean 'partition'?"),
    "resources.train.slurm.setup=[3]": (
        "resources.train.slurm.setup.0: 3 is not a text",
        'for example: setup: ["module load cuda"]',
    ),
    "resources.train=[]": (
        "resources.train: [] is not a mapping",
        'for example: resources: {"train": {"cpus": 1, "hours": 24}}',
    ),
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_change_is_told_with_its_remedy(text: str) -> None:
    with pytest.raises(SuiteError) as caught:
        load_suite(CATCH, [text])
    (problem,) = caught.value.problems
    assert (problem.location.source, problem.location.text) == ("--set", text)
    assert (problem.message, problem.remedy) == WRONG[text]


def test_mistakes_in_several_changes_are_told_at_once() -> None:
    with pytest.raises(SuiteError) as caught:
        load_suite(CATCH, ["agnet.x=1", "seeds=[]", "training.env_steps=0"])
    assert len(caught.value.problems) == 3
