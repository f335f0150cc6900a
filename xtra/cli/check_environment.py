"""`xtra-bench check-environment`: the contract test that authors of games run."""

from __future__ import annotations

from typing import Annotated

import typer

from xtra.cli.messages import refusal
from xtra.cli.options import PluginOption

SIZES = (10, 48, 96)
"""Frame sizes that are tried in turn where none is asked for."""


def check_environment(
    game: Annotated[str, typer.Argument(metavar="GAME", help="A game's name, as in a suite.")],
    frame_size: Annotated[
        int | None, typer.Option(min=8, max=210, metavar="PIXELS", help="Of 10, 48, 96 the first that fits.")
    ] = None,
    plugin: PluginOption = None,
) -> None:
    """Try what every game promises: shapes, exact repetition and resume, independent copies. Exits with 1 for a broken promise.

    For example: xtra-bench check-environment Catch
    """
    from pydantic import ValidationError

    from xtra.envs.config import EnvironmentConfig
    from xtra.envs.contract import check_contract
    from xtra.protocol.families import FAMILIES, UnknownGame
    from xtra.protocol.games import GAMES, find_game
    from xtra.suite.diagnostics.errors import printable, suggest

    try:
        problem_of = FAMILIES[find_game(game).family].frame_problem
    except UnknownGame as error:
        raise refusal(f"{error}; {error.remedy or suggest(game, GAMES, 'games')}") from None
    size = frame_size or next((size for size in SIZES if problem_of(game, size) is None), SIZES[-1])
    try:
        config = EnvironmentConfig(game=game, frame_size=size)
    except ValidationError as error:
        raise refusal(str(error.errors()[0]["msg"]).removeprefix("Value error, ")) from None
    broken = 0
    for outcome in check_contract(config):
        broken += bool(outcome.fault)
        typer.echo(printable(f"broken: {outcome.promise}: {outcome.fault}" if outcome.fault else f"kept: {outcome.promise}"))
    if broken:
        raise typer.Exit(1)
