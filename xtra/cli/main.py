"""`xtra-bench`: each command parses, calls one function and prints."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from xtra.cli.messages import OutputError, refusal
from xtra.plugins import PluginError
from xtra.registry import RegistrationError
from xtra.store.files import StoreError
from xtra.suite.diagnostics.errors import SuiteError, nearest

COMMANDS = {
    "run": "run:run",
    "plan": "plan:plan",
    "validate": "checks:validate",
    "new": "catalog:new",
    "list": "catalog:list_names",
    "status": "status:status",
    "logs": "logs:logs",
    "cancel": "slurm:cancel",
    "profile": "checks:profile_app",
    "gc": "gc:gc",
    "report": "report:report",
    "compare": "report:compare",
    "site": "report:site",
    "certify": "certify:certify",
    "verify": "certify:verify",
    "play": "play:play",
    "export": "networks:export_network",
    "import": "networks:import_network",
    "schema": "checks:schema",
    "perf": "perf:app",
    "doctor": "checks:doctor",
    "check-environment": "checks:check_environment",
}
"""Commands in the order of `--help`: the module in `xtra.cli` and the function, or group of commands, in it."""


class Commands(TyperGroup):
    """Imports a sub-command when it is asked for, and turns a broken suite into its message and exit status 2."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        if name not in COMMANDS:
            close = nearest(name, COMMANDS)
            raise refusal(f"no command {name!r}; " + (f"did you mean {close}?" if close else "`xtra-bench --help` names them"))
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command = getattr(import_module(f"xtra.cli.{module}"), name)
        if not isinstance(command, typer.Typer):
            group = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            group.command(cmd_name)(command)
            command = group
        made = typer.main.get_command(command)
        _show_flags_without_value(made)
        return made

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")  # pydantic's word, which says nothing
            raise
        except SuiteError as error:
            typer.echo(error.render(), err=True)
            raise typer.Exit(2) from None
        except RegistrationError as error:
            raise refusal(str(error)) from None
        except PluginError as error:
            raise refusal("; ".join(filter(None, [str(error), error.remedy]))) from None
        except StoreError as error:
            raise refusal(str(error)) from None
        except OutputError:
            raise
        except OSError as error:
            raise refusal(f"{error.filename or 'a file'}: {error.strerror or error}") from None


def _show_flags_without_value(command: Any) -> None:
    """Lets the help of a command, or of a group of them, show `--dry-run` alone, where typer writes `--dry-run <bool>`."""
    for option in command.params:
        if getattr(option, "is_flag", False):
            option.metavar = ""
    for part in getattr(command, "commands", {}).values():
        _show_flags_without_value(part)


app = typer.Typer(name="xtra-bench", cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _print_version(wants_version: bool) -> None:
    if wants_version:
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

    Start with: xtra-bench run quick
    """


class _Stdout(io.TextIOWrapper):
    """Stdout whose own errors can be told from those of any other file. error: the last of them."""

    error: OutputError | None = None

    def write(self, text: str) -> int:
        with self._noted_errors():
            return super().write(text)

    def flush(self) -> None:
        with self._noted_errors():
            super().flush()

    @contextmanager
    def _noted_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.error = OutputError(error.errno, error.strerror)
            raise self.error from None


def main() -> None:
    """Runs the command line. When stdout cannot be written, exits with 1 and without a traceback."""
    stdout = sys.stdout
    if isinstance(stdout, io.TextIOWrapper):
        stdout = sys.stdout = _Stdout(stdout.buffer, encoding=stdout.encoding, errors=stdout.errors, write_through=True)
    try:
        try:
            app()
        finally:
            if isinstance(stdout, _Stdout) and stdout.error is not None:
                raise stdout.error  # click answers a closed pipe by an exit of its own
    except OutputError as error:
        if error.errno != errno.EPIPE:  # Whoever closed a pipe (`| head`) knows why.
            sys.stderr.write(f"error: standard output: {error.strerror}\n")
            sys.stderr.flush()
        os._exit(1)  # A normal exit would try to write once more.
