"""A finished search's trees, open to inspection: nodes as arrays, the principal variation, a printable dump."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

INVALID_PRIOR = np.float32(-1.0)
"""The prior of an action that is not valid at this root; it is never selected."""

NO_NODE = -1
"""A child that no simulation has expanded, and the root's parent."""


def node_fields(num_actions: int) -> list[tuple[Any, ...]]:
    """Describes the record of one node with A actions: scalars, then its edges as rows of A. Field order and types are the
    engines' own."""
    return [
        ("value_sum", np.float32),  # of the node's own value and the returns of all simulations through it
        ("value_prefix", np.float32),  # the model's; 0 at the root
        ("reward", np.float32),  # of the edge that leads here, by the true parent's prefix and reset flag
        ("visits", np.uint16),  # 1 for its own expansion, 1 for each simulation through it
        ("parent", np.int16),
        ("action", np.int16),  # that leads here from the parent; -1 at the root
        ("depth", np.int16),
        ("prior", np.float32, (num_actions,)),
        ("q", np.float32, (num_actions,)),  # reward + discount * value of each expanded child, else 0
        ("child_visits", np.uint16, (num_actions,)),
        ("child", np.int16, (num_actions,)),
    ]


class Move(NamedTuple):
    """One move of a principal variation."""

    action: int
    visits: int
    q: float


class Tree:
    """The trees of a batch of roots. `nodes` is read from the engine's memory when first asked for."""

    def __init__(self, read_nodes: Callable[[], NDArray[Any]]) -> None:
        self._read_nodes = read_nodes
        self._nodes: NDArray[Any] | None = None

    @property
    def nodes(self) -> NDArray[Any]:
        """The nodes, structured `[B, num_simulations + 1]`; slot 0 is the root, slot s + 1 the node that simulation s
        expanded."""
        if self._nodes is None:
            self._nodes = self._read_nodes()
        return self._nodes

    def principal_variation(self, root: int = 0) -> list[Move]:
        """Returns the most visited path from a root, ties to the lowest action, until nothing further was expanded."""
        nodes, path, slot = self.nodes[root], [], 0
        while nodes[slot]["child_visits"].any():
            action = int(nodes[slot]["child_visits"].argmax())
            path.append(Move(action, int(nodes[slot]["child_visits"][action]), float(nodes[slot]["q"][action])))
            slot = int(nodes[slot]["child"][action])
        return path

    def dump(self, root: int = 0, max_depth: int | None = None) -> str:
        """Prints the tree as indented text, one expanded node a line: action, visits, value, reward, prior."""
        nodes, lines, waiting = self.nodes[root], [], [0]
        while waiting:
            slot = waiting.pop()
            node = nodes[slot]
            value = node["value_sum"] / node["visits"]
            edge = "root"
            if slot:
                prior = nodes[node["parent"]]["prior"][node["action"]]
                edge = f"action {node['action']}  reward {node['reward']:.4g}  prior {prior:.4g}"
            lines.append(f"{'  ' * int(node['depth'])}{edge}  visits {node['visits']}  value {value:.4g}")
            if max_depth is None or node["depth"] < max_depth:
                waiting.extend(node["child"][node["child"] != NO_NODE][::-1].tolist())
        return "\n".join(lines)
