"""Programs that stand for SLURM's."""

from __future__ import annotations

from pathlib import Path


def put_program(directory: Path, name: str, text: str) -> None:
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(f"#!/bin/sh\n{text}\n")
    (directory / name).chmod(0o755)
