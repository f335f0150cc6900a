"""`xtra-bench import`: a network that was exported elsewhere, into the store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xtra.cli.suite_options import ResultsOption


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `xtra-bench export` wrote.")],
    results: ResultsOption = Path("results"),
) -> None:
    """Verify a network's file and put it into the store; the key of its job is the last line printed.

    A suite does so by itself: transfer.init_from names the file.
    """
    from xtra.networks.imported import import_network
    from xtra.networks.network_file import NetworkFileError, read_network_file
    from xtra.store.errors import StoreError
    from xtra.store.store import Store

    store = Store(results / "store")
    try:
        network = read_network_file(file)
        key = import_network(store, network)
        complete = store.manifest(key) is not None
    except (NetworkFileError, StoreError) as error:
        message = str(error)
    except OSError as error:
        message = f"{error.filename or store.root}: {error.strerror}"
    else:
        if complete:
            header = network.header
            typer.echo(f"agent {header.agent.get('name')}, stage {header.stage}, games {', '.join(header.games)}")
            typer.echo(key)
            return
        message = f"{key} is being imported by another process"
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(2)
