"""`xtra-bench`: one file per sub-command; each parses, calls one function and prints."""

from __future__ import annotations

from importlib import import_module
from keyword import iskeyword
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from xtra.store.errors import DamagedError
from xtra.suite.errors import SuiteError

COMMANDS = ("run", "plan", "validate", "status", "logs", "cancel", "gc", "report", "play", "export", "import", "schema", "perf")
"""In the order of `--help`. Each is the module `xtra.cli.<name>`, with a function `<name>` or a group `app` (`import_`
for `import`)."""


class Commands(TyperGroup):
    """Imports a sub-command when it is asked for, and turns a broken suite into its message and exit status 2."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        name = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name
        module = import_module(f"xtra.cli.{name}")
        group = getattr(module, "app", None)
        if group is None:
            group = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            group.command(cmd_name)(getattr(module, name))
        return typer.main.get_command(group)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except SuiteError as error:
            typer.echo(error.render(), err=True)
            raise typer.Exit(2) from None
        except DamagedError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(2) from None


app = typer.Typer(name="xtra-bench", cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"xtra-bench {version('xtra-bench')}")
        raise typer.Exit


@app.callback()
def callback(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Benchmarks and ablations of cross-task transfer in model-based reinforcement learning.

    Start with: xtra-bench run suites/quick.yaml
    """


def main() -> None:
    app()
