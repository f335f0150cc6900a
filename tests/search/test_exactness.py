"""The C++ engine equals the NumPy definition in every bit, whatever the problem."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from problems import Problem, assert_same_search

from xtra.search import SearchConfig
from xtra.search._native import instruction_sets

INSTRUCTION_SETS = instruction_sets()


def configs(most_simulations: int) -> st.SearchStrategy[SearchConfig]:
    return st.builds(
        SearchConfig,
        num_simulations=st.integers(1, most_simulations),
        policy=st.sampled_from(["puct", "gumbel"]),
        discount=st.sampled_from([1.0, 0.997**4, 0.9]),
        lstm_horizon=st.integers(1, 5),
        min_max=st.sampled_from(["exact", "released", "per_node"]),
        exploration_visits=st.sampled_from(["children", "node"]),
        unvisited_q=st.sampled_from(["mean_q", "min"]),
        max_considered_actions=st.integers(1, 16),
        gumbel_min_span=st.sampled_from([1e-8, 0.3]),
    )


def problems(most_simulations: int = 24, most_actions: int = 40) -> st.SearchStrategy[Problem]:
    return st.builds(
        Problem,
        config=configs(most_simulations),
        batch=st.integers(1, 5),
        num_actions=st.integers(1, most_actions),
        seed=st.integers(0, 2**32 - 1),
        seeded=st.booleans(),
        noisy=st.booleans(),
        value_scale=st.sampled_from([0.0, 1e-4, 1.0, 100.0]),
    )


@settings(max_examples=60)
@given(problems())
def test_the_native_engine_equals_the_definition(problem: Problem) -> None:
    assert_same_search(problem.run(engine="reference"), problem.run())


@settings(max_examples=15)
@given(problems())
def test_every_instruction_set_gives_the_same_bits(problem: Problem) -> None:
    best = problem.run()
    for engine in INSTRUCTION_SETS:
        assert_same_search(problem.run(engine=engine), best)


@settings(max_examples=10)
@given(problems(most_simulations=8, most_actions=70))
def test_an_emulated_warp_equals_the_definition(problem: Problem) -> None:
    assert_same_search(problem.run(engine="reference"), problem.run(engine="emulated_warp"))


@settings(max_examples=15)
@given(problems())
def test_offloaded_trees_equal_the_engine_that_keeps_latents(problem: Problem) -> None:
    assert_same_search(problem.run(engine="offload"), problem.run())
