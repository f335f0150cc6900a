"""`xtra-bench`: one file per sub-command; each parses, calls one function and prints."""

from __future__ import annotations

import typer

app = typer.Typer(name="xtra-bench", no_args_is_help=True, add_completion=False)


def main() -> None:
    app()
