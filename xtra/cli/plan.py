"""`xtra-bench plan`: what would run, and what is there already."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xtra.cli.options import (
    OnlyOption,
    PluginOption,
    ResultsOption,
    SeedsOption,
    SetOption,
    SuiteArgument,
    TrustOption,
    load_plan,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from xtra.suite.plan import Plan


def plan(
    suite: SuiteArgument,
    overrides: SetOption = None,
    seeds: SeedsOption = None,
    only: OnlyOption = None,
    results: ResultsOption = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole plan as JSON.")] = False,
    plugin: PluginOption = None,
    trust_plugins: TrustOption = False,
) -> None:
    """Show the jobs and cells of a suite, which of them are there already, and what the rest will cost. Nothing is run."""
    import json
    from dataclasses import asdict

    from xtra.execute.suite_run import require_extras
    from xtra.store.store import Store
    from xtra.suite.diagnostics.errors import SuiteError
    from xtra.suite.summary import cached_keys, estimate, estimate_sentence, finished_costs, shared_with, to_record

    planned, store = load_plan(suite, overrides, seeds, only, trust_plugins), Store(results / "store")
    try:
        require_extras(planned)
    except SuiteError as error:
        typer.echo(f"`xtra-bench run` would refuse this:\n{error.render()}", err=True)
    cached = cached_keys(planned, store)
    cost = estimate(planned, cached, finished_costs(store))
    if as_json:
        typer.echo(json.dumps({**to_record(planned, cached), "estimate": asdict(cost)}, indent=2))
    else:
        print_plan(planned, cached)
        for other, count in shared_with(planned, suite.parent).items():
            typer.echo(f"{count} of these jobs {'belongs' if count == 1 else 'belong'} to suite {other} too.")
        typer.echo(estimate_sentence(cost, len(planned.jobs) - len(cached)))


def print_plan(plan: Plan, cached: Collection[str]) -> None:
    """Prints two tables, of stages and of methods. Names are printed as they are: no markup, no emoji codes."""
    from rich.console import Console
    from rich.table import Column, Table

    from xtra.stages.registry import STAGES
    from xtra.suite.summary import by_method, by_stage

    console = Console(markup=False, emoji=False, highlight=False)
    console.print(f"{plan.suite} version {plan.spec.version}, plan {plan.id}: {plan.spec.question}", soft_wrap=True)
    stages = Table("stage", *_COUNTS)
    shares = by_stage(plan, cached)
    for stage in filter(shares.__contains__, STAGES):
        share = shares[stage]
        stages.add_row(stage, str(share.total), str(share.cached), str(share.missing))
    console.print(stages)
    methods = Table(Column("method", overflow="fold"), "agent", "cells", *_COUNTS[1:])
    measured: dict[str, list[str]] = {}
    for (method, agent, protocol), share in by_method(plan, cached).items():
        methods.add_row(method, agent, str(share.total), str(share.cached), str(share.missing))
        measured.setdefault(protocol, []).append(method)
    console.print(methods)
    for protocol, names in measured.items():
        of = f" of {', '.join(names)}" if len(measured) > 1 else ""
        console.print(f"protocol{of}: {protocol}", soft_wrap=True)


_COUNTS = ("jobs", "cached", "to run")
