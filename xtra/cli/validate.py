"""`xtra-bench validate`: is this suite file in order?"""

from __future__ import annotations

import typer

from xtra.cli.suite_options import SeedsOption, SetOption, SuiteArgument, load_plan


def validate(suite: SuiteArgument, overrides: SetOption = None, seeds: SeedsOption = None) -> None:
    """Check a suite file: exit status 0 if it can be run, 2 with every mistake, its place and its remedy if not."""
    plan = load_plan(suite, overrides, seeds)
    spec = plan.spec
    counts = f"{len(spec.methods)} methods x {len(spec.targets)} games x {len(spec.seeds)} seeds"
    typer.echo(f"ok: {spec.suite} version {spec.version}: {counts} = {len(plan.cells)} cells, {len(plan.jobs)} jobs")
