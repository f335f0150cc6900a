"""What surrounds a search: forked processes, inference mode, orders in memory, masks made by views."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.search.problems import assert_same_search, hash_model
from xtra.search import FunctionModel, ModelOutput, SearchConfig, SearchResult, search

CONFIG = SearchConfig(num_simulations=6)
GUMBEL = SearchConfig(num_simulations=6, policy="gumbel")


def searched(batch: int = 3, config: SearchConfig = CONFIG, **arguments: object) -> SearchResult:
    given: dict[str, object] = {"valid_actions": torch.ones(batch, 4, dtype=torch.bool), "seeds": torch.arange(batch)}
    return search(hash_model(4), np.arange(batch, dtype=np.uint32), config, **(given | arguments))


FORKS = """
import os, signal
import numpy as np, torch
from xtra.search import FunctionModel, SearchConfig, search

def searched(batch):
    nothing = np.zeros(batch, np.float32)
    model = FunctionModel(
        lambda _: nothing[:, None],
        lambda latent, state, _: (latent, state, nothing),
        lambda _: (np.zeros((batch, 4), np.float32), nothing),
    )
    search(model, None, SearchConfig(num_simulations=6), valid_actions=torch.ones(batch, 4, dtype=torch.bool), num_threads=2)

searched(3)
child = os.fork()
if child == 0:
    signal.alarm(30)  # ends a child that waits for ever
    for batch in range(4, 10):  # drops the engine that the parent left, whose threads this process has not
        searched(batch)
    os._exit(0)
print(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_drops_its_parents_engines_without_waiting_for_their_threads() -> None:
    ran = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "0"


@pytest.mark.parametrize("config", [CONFIG, GUMBEL])
@pytest.mark.parametrize("engine", ["auto", "offload"])
def test_a_search_outside_inference_mode_follows_one_inside_it(config: SearchConfig, engine: str) -> None:
    with torch.inference_mode():
        inside = searched(5, config, engine=engine)
    assert_same_search(searched(5, config, engine=engine), inside)


class Counts:
    """Its latent is empty: all that it knows of a state is the recurrent state, which counts the steps since its reset."""

    def initial_inference(self, observations: object) -> ModelOutput:
        return self._output(torch.zeros(2, 1))

    def recurrent_inference(self, latent: Tensor, state: Tensor, actions: Tensor) -> ModelOutput:
        return self._output(state + 1)

    def _output(self, state: Tensor) -> ModelOutput:
        return ModelOutput(torch.zeros(2, 0), state, state[:, 0].clone(), torch.zeros(2), torch.zeros(2, 2))


class Doubles:
    """Its latents lie channels last, and it computes them entry by entry, in whatever order they came."""

    def initial_inference(self, observations: object) -> ModelOutput:
        latent = torch.arange(48.0).view(2, 3, 2, 4).to(memory_format=torch.channels_last)
        return self._output(latent)

    def recurrent_inference(self, latent: Tensor, state: Tensor, actions: Tensor) -> ModelOutput:
        return self._output(latent * 1.5 + actions.view(-1, 1, 1, 1))

    def _output(self, latent: Tensor) -> ModelOutput:
        value = latent.mean((1, 2, 3)).sin()
        return ModelOutput(latent, torch.zeros(2, 1), value.cos(), value, torch.zeros(2, 2))


@pytest.mark.parametrize("model", [Counts(), Doubles()])
@pytest.mark.parametrize("engine", ["auto", "emulated_warp", "offload"])
def test_every_engine_hands_over_what_it_was_given_as_it_lay(model: Counts | Doubles, engine: str) -> None:
    valid = torch.ones(2, 2, dtype=torch.bool)
    expected, other = (search(model, None, CONFIG, valid_actions=valid, engine=name) for name in ("reference", engine))
    assert_same_search(other, expected)


def test_a_mask_may_hold_any_byte_for_true() -> None:
    ones, others = torch.ones(3, 4, dtype=torch.bool), torch.full((3, 4), 255, dtype=torch.uint8).view(torch.bool)
    assert_same_search(searched(3, GUMBEL, valid_actions=others), searched(3, GUMBEL, valid_actions=ones))


@pytest.mark.parametrize(
    ("policy", "noise"),
    [("puct", torch.nan), ("puct", torch.inf), ("puct", -9.0), ("gumbel", torch.nan), ("gumbel", torch.inf)],
)
def test_the_definition_refuses_the_noise_that_other_engines_refuse(policy: str, noise: float) -> None:
    for engine in ("reference", "auto"):
        with pytest.raises(ValueError, match="noise of root 0 has entries that are not finite"):
            searched(3, SearchConfig(num_simulations=2, policy=policy), noise=torch.full((3, 4), noise), engine=engine)


def test_an_engine_of_the_cpu_is_refused_for_a_model_elsewhere() -> None:
    class Elsewhere(Doubles):
        def initial_inference(self, observations: object) -> ModelOutput:
            return ModelOutput(*(tensor.to("meta") for tensor in super().initial_inference(observations)))

    valid = torch.ones(2, 2, dtype=torch.bool, device="meta")
    with pytest.raises(ValueError, match="'avx2' searches on the CPU, and the model's outputs are on meta; expected 'auto'"):
        search(Elsewhere(), None, CONFIG, valid_actions=valid, engine="avx2")


def test_a_tree_deeper_than_pythons_stack_is_printed() -> None:
    def line(latent: np.ndarray, *_: object) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return latent, np.zeros((1, 1), np.float32), np.zeros(1, np.float32)

    model = FunctionModel(
        lambda _: np.zeros((1, 1), np.float32), line, lambda _: (np.zeros((1, 1), np.float32), np.zeros(1, np.float32))
    )
    result = search(model, None, SearchConfig(num_simulations=1_200), valid_actions=torch.ones(1, 1, dtype=torch.bool))
    assert len(result.tree.dump().splitlines()) == 1_201


def test_a_tree_is_printed_depth_first_by_ascending_action() -> None:
    printed = searched(1).tree.dump().splitlines()
    assert len(printed) == 7
    at_root = [int(line.split()[1]) for line in printed if line.startswith("  action")]
    assert at_root == sorted(at_root)
    for before, line in pairwise(printed):
        assert len(line) - len(line.lstrip()) <= len(before) - len(before.lstrip()) + 2
