"""Messages of commands on the terminal: counts in words, refusals, and the directory that `--out` needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from xtra.suite.diagnostics.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xtra.store.files import UnreadableError
    from xtra.store.store import Store
    from xtra.suite.plan import Plan


class OutputError(OSError):
    """Raised when stdout cannot be written: the disk that it goes to is full, or the reader of the pipe has left."""


def counted(number: int, noun: str) -> str:
    """Writes a number with its noun: `1 job`, `1,000 jobs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def agreeing(number: int, noun: str, verb: str) -> str:
    """Writes a number with its noun and verb: `1 job asks`, `2 jobs ask`."""
    return f"{counted(number, noun)} {verb}{'s' if number == 1 else ''}"


def refusal(message: str) -> typer.Exit:
    """Prints `error: message` on stderr. Returns the exit with status 2, to be raised."""
    typer.echo(f"error: {printable(message)}", err=True)
    return typer.Exit(2)


def print_warnings(plan: Plan) -> None:
    """Prints the warnings about the plan's suite on stderr."""
    from xtra.suite.check import warnings

    for warning in warnings(plan.spec):
        typer.echo(f"warning: {printable(warning)}", err=True)


def readable_keys(store: Store) -> list[str]:
    """Returns the store's jobs; names on stderr the directories that cannot be listed, and leaves them out."""
    unreadable: list[UnreadableError] = []
    keys = store.keys(unreadable)
    print_unreadable(unreadable)
    return keys


def print_unreadable(faults: Iterable[UnreadableError]) -> None:
    """Names on stderr the directories that cannot be read, and are left out."""
    for fault in faults:
        typer.echo(f"error: {printable(str(fault))}", err=True)


def make_directory_of(out: Path) -> None:
    """Makes the directory that `out` is to lie in. Exits with 2 when it cannot."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise refusal(f"--out {out}: {out.parent} is not a directory") from None
    except OSError as error:
        raise refusal(f"--out {out}: {error.filename}: {error.strerror}") from None
