"""`xtra-bench export` and `import`: a network out of the store as a file to pass on, and such a file into the store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xtra.cli.messages import make_directory_of, readable_keys, refusal
from xtra.cli.options import ResultsOption, SeedsOption, SetOption, load_plan, refuse_unused_options
from xtra.suite.diagnostics.errors import printable

if TYPE_CHECKING:
    from xtra.store.store import Store
    from xtra.suite.plan import Plan


def export_network(
    source: Annotated[str, typer.Argument(metavar="SUITE|KEY", help="A suite file; or a job, by key or its beginning.")],
    cell: Annotated[
        str | None, typer.Argument(metavar="METHOD/GAME/SEED", help="With a suite: the cell whose network it is.")
    ] = None,
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="With a suite: the network that the cell's training started from.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", dir_okay=False, help="KEY.safetensors if not given. Beside it goes the model card, .md."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    overrides: SetOption = None,
    seeds: SeedsOption = None,
    results: ResultsOption = Path("results"),
) -> None:
    """Write a trained or pretrained network as safetensors, and beside it what is to be known of it, a model card.

    `xtra-bench import` takes the file, and so does `transfer.init_from` in a suite.
    """
    from xtra.store.store import Store
    from xtra.suite.library import find_suite

    store = Store(results / "store")
    if cell is None:
        refuse_unused_options({"--pretrained": pretrained, "--set": overrides, "--seeds": seeds}, "a suite and METHOD/GAME/SEED")
        key, origin = _known_key(store, source), None
    else:
        plan = load_plan(find_suite(Path(source)), overrides, seeds).only([cell], "METHOD/GAME/SEED")
        key, origin = _cell_key(plan, cell, pretrained)
        if not store.directory(key).exists():
            raise refusal(f"{cell}, with these settings, was not run here; a run's --set and --seeds belong to its cells")
    target = out or Path(f"{key}.safetensors")
    if target.suffix != ".safetensors":
        raise refusal(f"--out {target}: the name of a network's file ends in .safetensors")
    _write(store, key, target, origin, force)


def import_network(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `xtra-bench export` wrote.")],
    results: ResultsOption = Path("results"),
) -> None:
    """Verify a network's file and put it into the store; the key of its job is the last line printed.

    A suite does so by itself: transfer.init_from names the file.
    """
    from xtra.networks import imported
    from xtra.networks.network_file import NetworkFileError, read_network_file
    from xtra.store.files import StoreError
    from xtra.store.store import Store

    store = Store(results / "store")
    try:
        network = read_network_file(file)
        key = imported.import_network(store, network)
        complete = store.manifest(key) is not None
    except (NetworkFileError, StoreError) as error:
        message = str(error)
    except OSError as error:
        message = f"{error.filename or store.root}: {error.strerror}"
    else:
        if complete:
            header = network.header
            summary = f"agent {header.agent.get('name')}, stage {header.stage}, games {', '.join(header.games)}"
            typer.echo(printable(summary))
            typer.echo(key)
            return
        message = f"{key} is being imported by another process"
    raise refusal(message)


def _write(store: Store, key: str, target: Path, origin: str | None, force: bool) -> None:
    from xtra.networks import export
    from xtra.networks.export import model_card
    from xtra.networks.network_file import read_network_file
    from xtra.store.files import StoreError, write_durably

    card = target.with_suffix(".md")
    existing = [str(path) for path in (target, card) if path.exists()]
    if existing and not force:
        raise refusal(f"{' and '.join(existing)} would be overwritten; name another --out, or pass --force")
    try:
        data = export.export_network(store, key)
    except StoreError as error:
        raise refusal(str(error)) from None
    except OSError as error:
        raise refusal(f"{error.filename or store.root}: {error.strerror}") from None
    make_directory_of(target)
    try:
        write_durably(target, lambda file: file.write(data))
        text = model_card(read_network_file(target), origin)
        write_durably(card, lambda file: file.write(text.encode()))
    except OSError as error:  # its own name of the file is a temporary one
        raise refusal(f"--out {target}: {error.strerror}") from None
    typer.echo(target)
    typer.echo(card)


def _known_key(store: Store, source: str) -> str:
    """Returns the one job whose key begins so."""
    from xtra.networks.export import EXPORTED_STAGES
    from xtra.suite.diagnostics.errors import nearest

    if source.endswith((".yaml", ".yml")):
        raise refusal(f"{source}: say whose network: xtra-bench export {source} METHOD/GAME/SEED")
    added = readable_keys(store)
    known = [key for key in added if key.rpartition("-")[0] in EXPORTED_STAGES]
    matching = [key for key in known if key.startswith(source)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise refusal(f"{source!r} is the beginning of {len(matching)} jobs: {', '.join(matching[:3])}, ...")
    example = nearest(source, known) or next(iter(known), None)
    remedy = "nothing there leaves a network yet" if example is None else f"try {example!r}"
    raise refusal(f"{source!r} is neither a job in {store.root} that leaves a network nor a suite file; {remedy}")


def _cell_key(plan: Plan, cell: str, pretrained: bool) -> tuple[str, str]:
    """Returns the job whose network is meant, and the suite and cell that it belongs to."""
    networks = {one.train_key: one.name for one in plan.cells}
    if len(networks) > 1:
        raise refusal(f"{cell!r} means {len(networks)} networks; name one: {next(iter(networks.values()))!r}")
    key, name = next(iter(networks.items()))
    if key is None:
        raise refusal(f"{name} has no network: its agent is not trained")
    origin = f"Suite {plan.suite} version {plan.spec.version}: {name}"
    if not pretrained:
        return key, f"{origin}, as it was scored"
    started_from = plan.jobs[key].inputs.get("pretrained")
    if started_from is None:
        raise refusal(f"{name} starts from no pretrained network; without --pretrained its own is exported")
    return started_from[0], f"{origin}, what its training started from"
