"""`xtra-bench list` and `new`: what there is to choose from, and a suite to start from."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from xtra.cli.messages import counted, make_directory_of, refusal
from xtra.cli.options import PluginOption, ResultsOption


class Kind(StrEnum):
    """The kinds of things that can be listed."""

    SUITES = "suites"
    GAMES = "games"
    PRESETS = "presets"
    PROTOCOLS = "protocols"
    AGENTS = "agents"
    SETTINGS = "settings"
    RUNS = "runs"


def _known_kind(name: str) -> str:
    from xtra.suite.diagnostics.errors import suggest

    kinds = [kind.value for kind in Kind]
    if name not in kinds:
        raise refusal(f"there are no {name!r} to list; {suggest(name, kinds, 'kinds')}")
    return name


def list_names(
    kind: Annotated[str, typer.Argument(metavar="|".join(Kind), callback=_known_kind, help="What to list.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print an object: name to description.")] = False,
    results: ResultsOption = Path("results"),
    plugin: PluginOption = None,
) -> None:
    """List the names of one kind, a line each, with what they stand for.

    A setting stands with its default, before protocol and preset have spoken, and its meaning.

    For example: xtra-bench list suites; xtra-bench list settings | grep discount
    """
    import json

    from xtra.suite.diagnostics.errors import printable

    descriptions = dict(_descriptions(Kind(kind), results))
    if as_json:
        typer.echo(json.dumps(descriptions, indent=2))
        return
    width = max(map(len, descriptions), default=0)
    for name, description in descriptions.items():
        typer.echo(printable(f"{name:{width}}  {description}"))
    for line in _games_beyond_the_list() if kind == Kind.GAMES else ():
        typer.echo(line)
    if not descriptions:
        typer.echo(f"{results / 'runs'}: no runs yet; `xtra-bench run quick` makes one")


def _descriptions(kind: Kind, results: Path) -> Iterator[tuple[str, str]]:
    from xtra.agents.registry import AGENTS
    from xtra.protocol.families import PROTOCOLS
    from xtra.protocol.games import GAMES
    from xtra.suite.presets import PRESETS
    from xtra.suite.settings import described_settings

    if kind is Kind.SUITES:
        yield from _suites()
    elif kind is Kind.GAMES:
        yield from ((game.name, f"{game.family}, {len(game.action_ids)} actions") for game in GAMES.values())
    elif kind is Kind.PRESETS:
        yield from ((preset.name, preset.summary) for preset in PRESETS.values())
    elif kind is Kind.PROTOCOLS:
        yield from ((protocol.name, protocol.summary) for protocol in PROTOCOLS.values())
    elif kind is Kind.AGENTS:
        yield from ((agent.name, (agent.config.__doc__ or "").split("\n")[0]) for agent in AGENTS.values())
    elif kind is Kind.SETTINGS:
        yield from described_settings().items()
    else:
        yield from _runs(results)


def _games_beyond_the_list() -> Iterator[str]:
    from xtra.protocol.families import FAMILIES

    for family in FAMILIES.values():
        if family.example:
            yield f"... and more of family {family.name}, such as {family.example}"


def _suites() -> Iterator[tuple[str, str]]:
    from xtra.suite.library import shipped_suites
    from xtra.suite.load import load_suite

    for name, path in shipped_suites().items():
        yield name, load_suite(path).question


def _runs(results: Path) -> Iterator[tuple[str, str]]:
    """Yields the runs' directories with the suite and the number of cells; a run that another release wrote is named as that."""
    import json

    for path in sorted((results / "runs").glob("*/plan.json")):
        try:
            record = json.loads(path.read_bytes())
            reported = "report.html" if (path.parent / "report.html").exists() else "no report yet"
            yield (
                path.parent.name,
                f"{record['suite']} version {record['version']}, {counted(len(record['cells']), 'cell')}, {reported}",
            )
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            yield path.parent.name, "not readable, or of another release"


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The suite's name; the file is NAME.yaml.")],
    like: Annotated[str, typer.Option(metavar="SUITE", help="The suite to start from, a name or a file.")] = "catch",
    out: Annotated[Path | None, typer.Option(metavar="FILE", dir_okay=False, help="NAME.yaml if not given.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a suite to edit: a copy of another with every field explained. Prints the file's name.

    For example: xtra-bench new my-study --like diverse
    """
    import re

    from xtra.suite.library import find_suite, new_suite
    from xtra.suite.spec import SUITE_NAME

    if not re.fullmatch(SUITE_NAME, name):
        raise refusal(f"{name!r} cannot name a suite: letters, digits, '.', '_' and '-', beginning with a letter or digit")
    target = out or Path(f"{name}.yaml")
    if target.exists() and not force:
        raise refusal(f"{target} would be overwritten; name another --out, or pass --force")
    text = new_suite(name, find_suite(Path(like)))
    make_directory_of(target)
    target.write_text(text, encoding="utf-8")
    typer.echo(target)
