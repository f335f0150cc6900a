"""`xtra-bench doctor`: what this machine has and uses, and what is slow because of what."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from xtra.perf.doctor import Finding


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Tell what this machine has, what of it is used (torch, GPU, engines, threads, SLURM, extras), and what is slow and why."""
    from xtra.perf.doctor import examine

    findings = examine()
    typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2) if as_json else render(findings))


def render(findings: Sequence[Finding]) -> str:
    """A line for each finding, its advice below it."""
    width = max(len(finding.topic) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.topic:<{width}}  {finding.state}")
        if finding.advice:
            lines.append(f"{'':<{width}}  -> {finding.advice}")
    return "\n".join(lines)
