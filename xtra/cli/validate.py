"""`xtra-bench validate`: is this suite file in order?"""

from __future__ import annotations

import typer

from xtra.cli.suite_options import SeedsOption, SetOption, SuiteArgument, load_plan
from xtra.cli.wording import counted


def validate(suite: SuiteArgument, overrides: SetOption = None, seeds: SeedsOption = None) -> None:
    """Check a suite file: exit status 0 if it can be run, 2 with every mistake, its place and its remedy if not."""
    plan = load_plan(suite, overrides, seeds)
    spec = plan.spec
    factors = {"method": spec.methods, "game": spec.targets, "seed": spec.seeds}
    product = " x ".join(counted(len(values), noun) for noun, values in factors.items())
    sums = f"{counted(len(plan.cells), 'cell')}, {counted(len(plan.jobs), 'job')}"
    typer.echo(f"ok: {spec.suite} version {spec.version}: {product} = {sums}")
