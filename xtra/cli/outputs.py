"""Where a command writes the file that `--out` names."""

from __future__ import annotations

from pathlib import Path

import typer


def make_directory_of(out: Path) -> None:
    """Makes the directory that `out` is to lie in. Exits with 2 when it cannot."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        reason = f"{out.parent} is not a directory"
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}"
    else:
        return
    typer.echo(f"error: --out {out}: {reason}", err=True)
    raise typer.Exit(2)
