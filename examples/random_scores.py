"""What a uniformly random agent scores in games of a protocol's family, under that protocol: the floor for every method.

python examples/random_scores.py minatar MinAtarBreakout MinAtarSpaceInvaders
"""

from __future__ import annotations

from argparse import ArgumentParser

import numpy as np

from xtra.agents.evaluation import RandomPlayer, play_episodes
from xtra.envs.config import EnvironmentConfig
from xtra.protocol.games import GAMES
from xtra.protocol.protocols import PROTOCOLS, Protocol
from xtra.suite.diagnostics.errors import suggest

NUM_EPISODES, SEED = 1_000, 0


def arguments() -> tuple[Protocol, list[str]]:
    """The protocol and its games. Exits with 2 for a game of another family."""
    parser = ArgumentParser(description="Prints what a random agent scores in games of a protocol.")
    parser.add_argument("protocol", choices=PROTOCOLS)
    parser.add_argument("games", metavar="GAME", nargs="+")
    given = parser.parse_args()
    protocol = PROTOCOLS[given.protocol]
    valid = [name for name, game in GAMES.items() if game.family == protocol.family]
    for game in given.games:
        if game not in valid:
            parser.error(f"{game!r} is no game of protocol {protocol.name}; {suggest(game, valid, 'games')}")
    return protocol, given.games


def main() -> None:
    protocol, games = arguments()
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
