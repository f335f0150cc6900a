"""What a uniformly random agent scores in games of a protocol's family, under that protocol: the floor for every method.

python examples/random_scores.py minatar MinAtarBreakout MinAtarSpaceInvaders
python examples/random_scores.py atari100k Breakout@mode=12 --episodes 100
"""

from __future__ import annotations

import csv
import sys
from argparse import ArgumentParser

import numpy as np

from xtra.agents.evaluation import RandomPlayer, play_episodes
from xtra.envs.config import EnvironmentConfig
from xtra.protocol.families import PROTOCOLS, Protocol, UnknownGame
from xtra.protocol.games import GAMES, find_game
from xtra.suite.diagnostics.errors import suggest

NUM_EPISODES, SEED = 1_000, 0


def arguments() -> tuple[Protocol, list[str], int]:
    """The protocol, its games and the number of episodes. Exits with 2 for a game of another family."""
    parser = ArgumentParser(description="Prints what a random agent scores in games of a protocol.")
    parser.add_argument("protocol", choices=PROTOCOLS)
    parser.add_argument("games", metavar="GAME", nargs="+")
    parser.add_argument("--episodes", type=int, default=NUM_EPISODES, help="of each game, at least 2 (default: %(default)s)")
    given = parser.parse_args()
    if given.episodes < 2:
        parser.error("--episodes: a standard error needs at least 2")
    protocol = PROTOCOLS[given.protocol]
    valid = [name for name, game in GAMES.items() if game.family == protocol.family]
    for game in given.games:
        try:
            fits = find_game(game).family == protocol.family
        except UnknownGame as error:
            parser.error(f"{error}; {error.remedy or suggest(game, valid, 'games')}")
        if not fits:
            parser.error(f"{game!r} is no game of protocol {protocol.name}; {suggest(game, valid, 'games')}")
    return protocol, given.games, given.episodes


def main() -> None:
    protocol, games, num_episodes = arguments()
    prefix = "environment."
    settings = {path.removeprefix(prefix): value for path, value in protocol.settings.items() if path.startswith(prefix)}
    rows = csv.writer(sys.stdout, lineterminator="\n")  # A flavour's name may hold a comma.
    rows.writerow(["protocol", "game", "mean_episode_return", "standard_error", "num_episodes", "seed"])
    for game in games:
        episodes = play_episodes(
            RandomPlayer(game, SEED),
            EnvironmentConfig(game=game, frame_size=10, **settings),
            num_episodes=num_episodes,
            max_episode_env_steps=protocol.settings["evaluation.max_episode_env_steps"],
            seed=SEED,
        )
        returns = np.array([episode.episode_return for episode in episodes])
        error = returns.std(ddof=1) / np.sqrt(num_episodes)
        rows.writerow([protocol.name, game, f"{returns.mean():g}", f"{error:.4f}", num_episodes, SEED])
        sys.stdout.flush()


if __name__ == "__main__":
    main()
