"""What a uniformly random agent scores in games of a protocol's family, under that protocol: the floor for every method.

python examples/random_scores.py minatar MinAtarBreakout MinAtarSpaceInvaders
"""

from __future__ import annotations

import sys

import numpy as np

from xtra.agents.evaluation import play_episodes
from xtra.agents.random_player import RandomPlayer
from xtra.envs.config import EnvironmentConfig
from xtra.protocol.protocols import PROTOCOLS

NUM_EPISODES, SEED = 1_000, 0


def main() -> None:
    protocol, games = PROTOCOLS[sys.argv[1]], sys.argv[2:]
    prefix = "environment."
    settings = {path.removeprefix(prefix): value for path, value in protocol.settings.items() if path.startswith(prefix)}
    print("protocol,game,mean_episode_return,standard_error,num_episodes,seed")
    for game in games:
        episodes = play_episodes(
            RandomPlayer(game, SEED),
            EnvironmentConfig(game=game, frame_size=10, **settings),
            num_episodes=NUM_EPISODES,
            max_episode_env_steps=protocol.settings["evaluation.max_episode_env_steps"],
            seed=SEED,
        )
        returns = np.array([episode.episode_return for episode in episodes])
        error = returns.std(ddof=1) / np.sqrt(NUM_EPISODES)
        print(f"{protocol.name},{game},{returns.mean():g},{error:.4f},{NUM_EPISODES},{SEED}", flush=True)


if __name__ == "__main__":
    main()
