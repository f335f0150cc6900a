"""`xtra-bench validate` and `schema`: checks a suite file, and prints the schema by which an editor does."""

from __future__ import annotations

import typer

from xtra.cli.messages import counted, print_warnings
from xtra.cli.options import PluginOption, SeedsOption, SetOption, SuiteArgument, TrustOption, load_plan


def validate(
    suite: SuiteArgument,
    overrides: SetOption = None,
    seeds: SeedsOption = None,
    plugin: PluginOption = None,
    trust_plugins: TrustOption = False,
) -> None:
    """Check a suite file: exit status 0 if it can be run, 2 with every mistake, its place and its remedy if not."""
    from xtra.execute.suite_run import require_extras

    plan = load_plan(suite, overrides, seeds, trust_plugins=trust_plugins)
    require_extras(plan)
    print_warnings(plan)
    spec = plan.spec
    factors = {"method": spec.methods, "game": spec.targets, "seed": spec.seeds}
    product = " x ".join(counted(len(values), noun) for noun, values in factors.items())
    sums = f"{counted(len(plan.cells), 'cell')}, {counted(len(plan.jobs), 'job')}"
    typer.echo(f"ok: {spec.suite} version {spec.version}: {product} = {sums}")


def schema() -> None:
    """Print the JSON Schema of suite files, by which YAML editors complete and check them."""
    import json

    from xtra.suite.settings import suite_schema

    typer.echo(json.dumps(suite_schema(), indent=2))
