"""`xtra-bench play`: a video of what a trained agent does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xtra.cli.messages import counted, make_directory_of, print_unreadable, refusal
from xtra.cli.options import PluginOption, ResultsOption

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xtra.agents.video import Scene
    from xtra.api.agents import AgentSource
    from xtra.store.files import UnreadableError

SHOWN_ENV_STEPS = 3_000
"""Decisions that are shown unless more are asked for: 200 seconds at 15 a second. An untrained agent may take 27,000."""


def play(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|DIR|KEY|METHOD/GAME/SEED",
            help="A network's file that `xtra-bench export` wrote; a finished train, teacher, pretrain or evaluate job, by its "
            "directory (or the `out` in it), its key or the key's beginning; or a cell of a suite that was run.",
        ),
    ],
    game: Annotated[
        str | None, typer.Argument(metavar="GAME", help="What it is to play, if not the game that it learned.")
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            dir_okay=False,
            help="The video: an animated GIF, or for a short one, with the suffix .png, an animated PNG.",
        ),
    ] = Path("episode.gif"),
    seed: Annotated[int | None, typer.Option(min=0, help="Another start of the game than the first of the evaluation's.")] = None,
    max_env_steps: Annotated[
        int | None, typer.Option(min=1, help=f"Stop after so many decisions. [default: {SHOWN_ENV_STEPS}]")
    ] = None,
    fps: Annotated[float, typer.Option(min=1.0, max=50.0, help="Decisions shown per second.")] = 15.0,
    results: ResultsOption = Path("results"),
    plugin: PluginOption = None,
) -> None:
    """Play one greedy episode and write it as an animated GIF or PNG, with the search's value and visits beside it.

    For example: xtra-bench play XTRA/Catch/0; xtra-bench play network.safetensors Breakout
    """
    from xtra.agents.video import FORMATS, scenes, write_video
    from xtra.api.player import TrainedPlayer
    from xtra.rng import derive_seed

    if out.suffix not in FORMATS:
        raise refusal(f"--out {out}: the name of a video ends in {' or '.join(FORMATS)}")
    agent = _agent_source(source, game, results)
    make_directory_of(out)  # Before the episode is played, which may take minutes.
    config = agent.config
    limit = max_env_steps or min(SHOWN_ENV_STEPS, config.evaluation.max_episode_env_steps)
    played = scenes(
        TrainedPlayer(agent).agent_player,
        config.environment,
        seed=derive_seed(config.seed, "evaluation") if seed is None else seed,
        max_episode_env_steps=limit,
    )
    try:
        shown = write_video(out, _with_progress(played, limit), config.environment.game, fps)
    except OSError as error:
        raise refusal(f"--out {out}: {error.strerror or error}") from None
    cut = "" if shown < SHOWN_ENV_STEPS or max_env_steps else "; more by --max-env-steps"
    typer.echo(f"{out}: {counted(shown, 'env step')} of {config.environment.game}{cut}")


def _with_progress(played: Iterator[Scene], limit: int) -> Iterator[Scene]:
    """Passes the scenes on; a person at a terminal sees how many of at most `limit` there are so far."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return iter(track(played, "env steps", total=limit, console=console, transient=True, disable=not console.is_terminal))


def _agent_source(source: str, game: str | None, results: Path) -> AgentSource:
    """Finds the agent that is meant; names on stderr the directories of the store that cannot be listed."""
    from xtra.api.agents import SUFFIX, LoadError, find_agent, job_directory

    unreadable: list[UnreadableError] = []
    named = Path(source)
    if named.is_file() and named.suffix != SUFFIX and job_directory(named) is None:
        raise refusal(f"{source} is no network's file: the name of one, which `xtra-bench export` writes, ends in {SUFFIX}")
    try:
        if named.suffix == SUFFIX or job_directory(named) is not None:
            return find_agent(named, None, game)
        return find_agent(results, source, game, unreadable)
    except LoadError as error:
        raise refusal(str(error)) from None
    finally:
        print_unreadable(unreadable)
