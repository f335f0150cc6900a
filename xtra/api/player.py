"""An agent that was trained, as a Python object that plays."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xtra.api.agents import AgentSource, find_agent
from xtra.protocol.games import find_game

if TYPE_CHECKING:
    import torch

    from xtra.agents.evaluation import Episode
    from xtra.agents.interface import Player


class SearchStatistics(NamedTuple):
    """Statistics of a search from N observations over A actions."""

    action_ids: NDArray[np.int64]
    """`[A]`: which action (of ALE's 18) each column is; those that the game does not understand are never visited."""
    visit_counts: NDArray[np.int32]
    """`[N, A]`: simulations that went through each action; a row sums to `agent.search.num_simulations`."""
    action_weights: NDArray[np.float32]
    """`[N, A]`: the policy that the search arrives at; a row sums to 1."""
    root_values: NDArray[np.float32]
    """`[N]`: expected discounted sum of (clipped, where training clipped) rewards."""
    actions: NDArray[np.int64]
    """`[N]`: ids of the best actions, which `TrainedPlayer.act` returns unless the agent draws from its policy
    (`acting.evaluation_action`)."""


class TrainedPlayer:
    """A trained agent that plays one game as in evaluation. `load` makes one.

    game: its game.  agent: its agent's name.  frame_stack: frames that it sees at once.  frame_shape: `(H, W, C)` of one frame.
    action_ids: the actions that the game understands, ids of ALE's 18.
    """

    def __init__(self, source: AgentSource, num_threads: int | None = None) -> None:
        from xtra.agents.interface import make_player, prepare_torch

        self._config = config = source.config
        threads = num_threads or config.evaluation.num_threads
        device = prepare_torch(threads)
        weights = None if source.network is None else read_weights(source.network, device)
        self._player = make_player(config.agent, config.environment, weights, seed=config.seed, num_threads=threads)
        self.game = config.environment.game
        self.agent: str = config.agent.name
        self.frame_stack = self._player.frame_stack
        size = config.environment.frame_size
        self.frame_shape = (size, size, 1 if config.environment.color == "gray" else 3)
        self.action_ids = find_game(self.game).action_ids

    @property
    def agent_player(self) -> Player:
        """The same agent as a `Player`, the interface that training and evaluation use."""
        return self._player

    def act(self, frames: NDArray[np.uint8], env_step: int = 0) -> NDArray[np.int64]:
        """Returns action ids (of ALE's 18) `[N]` for N environments.

        frames: `[N, frame_stack, H, W, C]` uint8, the oldest first; at an episode's start its first frame, repeated.
        env_step: how many decisions came before; only agents that draw at random read it.
        """
        return self._player.play(self._checked(frames), env_step)

    def search(self, frames: NDArray[np.uint8]) -> SearchStatistics:
        """Runs the agent's tree search from N observations. frames: `[N, frame_stack, H, W, C]`, as for `act`.

        Raises TypeError for an agent that acts without a search.
        """
        from xtra.agents.efficientzero.agent import EfficientZeroPlayer

        if not isinstance(self._player, EfficientZeroPlayer):
            raise TypeError(f"agent {self.agent} acts without a search; efficientzero searches")
        result, space = self._player.search(self._checked(frames)), self._player.space
        return SearchStatistics(
            np.array(space.ids),
            result.visit_counts.cpu().numpy(),
            result.action_weights.cpu().numpy(),
            result.root_values.cpu().numpy(),
            space.to_ids(result.actions.cpu().numpy()),
        )

    def evaluate(self, num_episodes: int = 10, seed: int | None = None) -> list[Episode]:
        """Plays whole games and returns them in order, with their raw returns.

        seed: of the games' starts; if not given that of the agent's own evaluation, whose episodes come out again.
        """
        from xtra.agents.evaluation import play_episodes
        from xtra.rng import derive_seed

        return play_episodes(
            self._player,
            self._config.environment,
            num_episodes=num_episodes,
            max_episode_env_steps=self._config.evaluation.max_episode_env_steps,
            seed=derive_seed(self._config.seed, "evaluation") if seed is None else seed,
        )

    def _checked(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        frames = np.asarray(frames)
        expected = (self.frame_stack, *self.frame_shape)
        if frames.ndim != 5 or frames.shape[1:] != expected or frames.dtype != np.uint8:
            shape = ", ".join(map(str, ("N", *expected)))
            raise ValueError(f"frames is {list(frames.shape)} {frames.dtype}; {self.agent} on {self.game} takes [{shape}] uint8")
        return frames

    def __repr__(self) -> str:
        return f"<TrainedPlayer {self.agent} of {self.game}>"


def load(
    path: str | PathLike[str], which: str | None = None, *, game: str | None = None, num_threads: int | None = None
) -> TrainedPlayer:
    """Loads a trained agent.

    path: what the agent is read from:
        a directory of results, or of one of its runs; `which` then names a cell (`XTRA/Catch/0`) or a job by its key's beginning,
        the directory of a train, teacher, pretrain or evaluate job,
        a `.safetensors` file that `xtra-bench export` wrote.
    game: which game it plays, if not the one that it learned; a network pretrained on several needs it. An episode is cut where
        those of the agent's evaluation were; that of another family, where the family's first protocol says.
    num_threads: of torch; those of its evaluation if not given. Results may depend on it in the last bits.

    Raises LoadError, a ValueError, that says what there is instead; StoreError for a damaged store.
    """
    return TrainedPlayer(find_agent(Path(path), which, game), num_threads)


def read_weights(network: Path, device: torch.device) -> Mapping[str, Any]:
    """Reads the weights in a job's output directory or in an exported file."""
    import safetensors.torch

    from xtra.agents.interface import load_weights

    if network.is_dir():
        return load_weights(network, device)
    return safetensors.torch.load_file(network, device=str(device))
