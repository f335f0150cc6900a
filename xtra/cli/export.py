"""`xtra-bench export`: a network of the store as a file that can be passed on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xtra.cli.outputs import make_directory_of
from xtra.cli.suite_options import ResultsOption, SeedsOption, SetOption, load_plan, refuse_idle_options

if TYPE_CHECKING:
    from xtra.store.store import Store
    from xtra.suite.plan import Plan


def export(
    source: Annotated[str, typer.Argument(metavar="SUITE|KEY", help="A suite file; or a job, by key or its beginning.")],
    cell: Annotated[str | None, typer.Argument(metavar="[METHOD/GAME/SEED]", help="With a suite: whose network.")] = None,
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

    store = Store(results / "store")
    if cell is None:
        refuse_idle_options({"--pretrained": pretrained, "--set": overrides, "--seeds": seeds}, "a suite and METHOD/GAME/SEED")
        key, origin = _known_key(store, source), None
    else:
        key, origin = _cell_key(load_plan(Path(source), overrides, seeds).only([cell], "METHOD/GAME/SEED"), cell, pretrained)
    target = out or Path(f"{key}.safetensors")
    if target.suffix != ".safetensors":
        raise _refusal(f"--out {target}: the name of a network's file ends in .safetensors")
    _write(store, key, target, origin, force)


def _write(store: Store, key: str, target: Path, origin: str | None, force: bool) -> None:
    from xtra.networks.export import export_network
    from xtra.networks.model_card import model_card
    from xtra.networks.network_file import read_network_file
    from xtra.store.errors import StoreError
    from xtra.store.files import write_durably

    card = target.with_suffix(".md")
    existing = [str(path) for path in (target, card) if path.exists()]
    if existing and not force:
        raise _refusal(f"{' and '.join(existing)} would be overwritten; name another --out, or say --force")
    try:
        data = export_network(store, key)
        make_directory_of(target)
        write_durably(target, lambda file: file.write(data))
        text = model_card(read_network_file(target), origin)
        write_durably(card, lambda file: file.write(text.encode()))
    except StoreError as error:
        raise _refusal(str(error)) from None
    except OSError as error:
        raise _refusal(f"{error.filename or target}: {error.strerror}") from None
    typer.echo(target)
    typer.echo(card)


def _known_key(store: Store, source: str) -> str:
    """The one job whose key begins so."""
    from xtra.networks.export import EXPORTED_STAGES
    from xtra.suite.errors import nearest

    if source.endswith((".yaml", ".yml")):
        raise _refusal(f"{source}: say whose network: xtra-bench export {source} METHOD/GAME/SEED")
    added = store.keys()
    known = [key for key in added if key.rpartition("-")[0] in EXPORTED_STAGES]
    found = [key for key in known if key.startswith(source)]
    if len(found) == 1:
        return found[0]
    if found:
        raise _refusal(f"{source!r} is the beginning of {len(found)} jobs: {', '.join(found[:3])}, ...")
    example = nearest(source, known) or next(iter(known), None)
    remedy = "nothing there leaves a network yet" if example is None else f"try {example!r}"
    raise _refusal(f"{source!r} is neither a job in {store.root} that leaves a network nor a suite file; {remedy}")


def _cell_key(plan: Plan, cell: str, pretrained: bool) -> tuple[str, str]:
    """The job whose network is meant, and where it stands."""
    found = {one.train_key: one.name for one in plan.cells}
    if len(found) > 1:
        raise _refusal(f"{cell!r} means {len(found)} networks; name one: {next(iter(found.values()))!r}")
    key, name = next(iter(found.items()))
    if key is None:
        raise _refusal(f"{name} has no network: its agent is not trained")
    told = f"Suite {plan.suite} version {plan.spec.version}: {name}"
    if not pretrained:
        return key, f"{told}, as it was scored"
    started_from = plan.jobs[key].inputs.get("pretrained")
    if started_from is None:
        raise _refusal(f"{name} starts from no pretrained network; without --pretrained its own is exported")
    return started_from[0], f"{told}, what its training started from"


def _refusal(message: str) -> typer.Exit:
    """To be raised, once the message is told."""
    typer.echo(f"error: {message}", err=True)
    return typer.Exit(2)
