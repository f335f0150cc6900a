"""The options that commands on a suite share, and the plan that follows from them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xtra.suite.plan import Plan


def _suite_file(named: Path | None) -> Path | None:
    from xtra.suite.library import find_suite

    return None if named is None else find_suite(named)


SuiteArgument = Annotated[
    Path,
    typer.Argument(
        metavar="SUITE",
        callback=_suite_file,
        help="A suite file, or a name such as quick: in suites/ here, or in the package.",
    ),
]
OptionalSuiteArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="SUITE", callback=_suite_file, help="A suite file or name; without one, every job submitted or run from here."
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Change one setting, such as agent.search.num_simulations=16, or one field of the suite, such as protocol=catch."
        " Can be repeated.",
    ),
]
SeedsOption = Annotated[
    str | None, typer.Option("--seeds", metavar="SEEDS", help="Seeds in place of the suite's, such as 0,1,5-9.")
]


def _load_plugins(references: list[str] | None) -> list[str] | None:
    from xtra import plugins

    for reference in references or ():
        plugins.load(plugins.find(reference, Path()))
    return references


PluginOption = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        metavar="FILE|MODULE",
        callback=_load_plugins,
        help="Load this code of yours first, so that its games, agents and methods can be named. Can be repeated.",
    ),
]
TrustOption = Annotated[
    bool,
    typer.Option("--trust-plugins", help="Allow the code that the suite names under `plugins` to run, now and until it changes."),
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="GLOB",
        help="Only the cells whose method/game/seed this matches, such as 'EfficientZero/Pong' or '*/*/0'. Can be repeated.",
    ),
]


def _directory(results: Path) -> Path:
    if results.exists() and not results.is_dir():  # a device or a pipe, which `file_okay` lets pass
        raise typer.BadParameter(f"{str(results)!r} is not a directory")
    return results


ResultsOption = Annotated[
    Path,
    typer.Option(
        "--results",
        metavar="DIR",
        file_okay=False,
        callback=_directory,
        help="Holds the store of jobs and the directories of runs.",
    ),
]


def load_plan(
    suite: Path,
    overrides: list[str] | None = None,
    seeds: str | None = None,
    only: list[str] | None = None,
    trust_plugins: bool = False,
) -> Plan:
    """Loads the plan of a suite file under the command line's changes. Raises SuiteError; `xtra-bench` prints it and exits with
    2."""
    from xtra.suite.load import load_suite
    from xtra.suite.overrides import parse_seeds
    from xtra.suite.plan import plan

    spec = load_suite(suite, overrides or (), None if seeds is None else parse_seeds(seeds), trust_plugins=trust_plugins)
    return plan(spec).only(only or ())


def load_plan_if_named(suite: Path | None, overrides: list[str] | None, seeds: str | None, only: list[str] | None) -> Plan | None:
    """Loads a suite's plan; None without a suite, where options that choose among its cells are refused: a filter that is ignored
    would mean everything."""
    if suite is None:
        refuse_unused_options({"--set": overrides, "--seeds": seeds, "--only": only}, "a suite FILE")
        return None
    return load_plan(suite, overrides, seeds, only)


def refuse_unused_options(options: Mapping[str, object], required_option: str) -> None:
    """Exits with 2 when one of these options was given, by name, which without `required_option` would change nothing."""
    for name, value in options.items():
        if value not in (None, False, []):
            typer.echo(f"error: {name} requires {required_option}", err=True)
            raise typer.Exit(2)
