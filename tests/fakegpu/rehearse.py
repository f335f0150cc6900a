"""`python rehearse.py COMMAND …`: xtra-bench where nothing computes. A search's policies come back as zeros, from which no action
can be drawn, so agents that have searched act at random instead."""

from typing import Any

import numpy as np
import torch

from xtra.agents.efficientzero.planning import Planner
from xtra.cli.main import main
from xtra.search import SearchResult

explore, exploit = Planner.explore, Planner.exploit


def at_random(planner: Planner, result: SearchResult) -> SearchResult:
    """The result with some action of the game for every root, on the CPU."""
    rng, rows = np.random.default_rng(0), len(result.actions)
    actions = torch.from_numpy(rng.choice(planner.space.valid, rows))
    weights = torch.nn.functional.one_hot(actions, result.action_weights.shape[1]).float()
    return result._replace(actions=actions, action_weights=weights, root_values=torch.zeros(rows))


def explored(planner: Planner, *arguments: Any, fetch: bool = True) -> SearchResult:
    """Of reanalysis nothing is fetched: its policies stay zeros, on the device."""
    result = explore(planner, *arguments, fetch=fetch)
    return at_random(planner, result) if fetch else result


def exploited(planner: Planner, *arguments: Any, **named: Any) -> SearchResult:
    return at_random(planner, exploit(planner, *arguments, **named))


def rehearse() -> None:
    """Runs the command that the arguments name."""
    Planner.explore = explored  # type: ignore[method-assign]
    Planner.exploit = exploited  # type: ignore[method-assign]
    main()


if __name__ == "__main__":
    rehearse()
