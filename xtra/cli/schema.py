"""`xtra-bench schema`: the JSON Schema of suite files."""

from __future__ import annotations

import typer


def schema() -> None:
    """Print the JSON Schema of suite files, by which YAML editors complete and check them."""
    import json

    from xtra.suite.schema import suite_schema

    typer.echo(json.dumps(suite_schema(), indent=2))
