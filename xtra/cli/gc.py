"""`xtra-bench gc`: frees the room that no run needs any more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xtra.cli.messages import counted, refusal
from xtra.cli.options import ResultsOption

if TYPE_CHECKING:
    from xtra.execute.garbage import Garbage
    from xtra.store.store import Store


def gc(
    days: Annotated[float, typer.Option(min=0.0, help="Only jobs that nothing has touched for so many days.")] = 30.0,
    yes: Annotated[bool, typer.Option("--yes", help="Remove them. Without it they are only listed.")] = False,
    replays: Annotated[
        bool,
        typer.Option(
            "--replays", help="Also the replays of finished runs, unless a dataset that is still to be made needs them."
        ),
    ] = False,
    results: ResultsOption = Path("results"),
) -> None:
    """List, and with --yes remove, stored jobs that no run under results/runs or results/ours uses; with --replays, spare replays
    too."""
    from xtra.execute.garbage import find_garbage, find_spare_replays, planned_keys, remove_trash
    from xtra.store.files import StoreError
    from xtra.store.store import Store

    store = Store(results / "store")
    try:
        planned = planned_keys(results, store)
        garbage = list(find_garbage(store, planned, days))
        if replays:
            garbage += find_spare_replays(store, planned, days)
    except (ValueError, StoreError) as error:
        raise refusal(str(error)) from None
    for item in garbage:
        typer.echo(f"{item.size / 2**20:10.1f} MB  {item.key}" + (f"  its {item.part}" if item.part else ""))
    if yes:
        remove_trash(store)
        removed = [item for item in garbage if _removed(store, item, results)]
        typer.echo(f"removed {_counted(removed)}")
    else:
        unit = "day" if days == 1 else "days"
        typer.echo(f"{_counted(garbage)} could go: needed by no run, untouched for {days:g} {unit} (--days); --yes removes them")


def _removed(store: Store, garbage: Garbage, results: Path) -> bool:
    from xtra.execute.garbage import remove
    from xtra.store.files import StoreError

    try:
        return remove(store, garbage, results)
    except (ValueError, StoreError) as error:
        typer.echo(f"kept {garbage.key}: {error}", err=True)
        return False
    except OSError as error:  # a colleague's, say: the others can go all the same
        typer.echo(f"kept {garbage.key}: {error.filename or store.directory(garbage.key)}: {error.strerror}", err=True)
        return False


def _counted(garbage: Sequence[Garbage]) -> str:
    """`3 jobs, 2 replays, 20.0 MB`."""
    replays = sum(item.part is not None for item in garbage)
    size = sum(item.size for item in garbage) / 2**20
    return f"{counted(len(garbage) - replays, 'job')}, {counted(replays, 'replay')}, {size:.1f} MB"
