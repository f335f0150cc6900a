"""The model card beside an exported network: its use, origin, source data and settings, for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from xtra.networks.network_file import NetworkFile, NetworkHeader

_HOW = {
    "train": "trained online on {games}",
    "pretrain": "pretrained on the offline data of {games}",
    "teacher": "trained on the offline data of {games} alone",
}
"""How a network was made, by the stage that made it."""


def model_card(file: NetworkFile, origin: str | None) -> str:
    """Writes the card, in Markdown. origin: the suite and the cell that the network was exported from, where they are known."""
    header = file.header
    how = _HOW.get(header.stage, "made from {games}").format(games=", ".join(header.games) or "no game")
    name = header.agent.get("name", "an unknown agent")
    lines = [
        f"# {file.path.stem}",
        "",
        f"A network of agent {name}, {how} by xtra-bench. {file.num_values:,} weights and statistics.",
        "",
        "## Use",
        "",
        "In a suite of xtra-bench, beside which the file lies:",
        "",
        "```yaml",
        "methods:",
        "  - name: From a shared network",
        f"    agent: {name}",
        f"    set: {{transfer.init_from: {json.dumps(file.path.name)}}}",
        "```",
        "",
        "`transfer.start.components` and `transfer.start.frozen` say what of it is taken and what stays as it is;",
        "`transfer.zero_shot: true` scores it untrained. Elsewhere it is plain safetensors.",
        "",
        "## Origin",
        "",
        *_origin(header, origin),
        "",
        "## Source data",
        "",
        *_data(header),
        "",
        "## What it sees, what it is, how it was trained",
        "",
        "| setting | value |",
        "|---|---|",
        *_settings({"environment": header.environment, "agent": header.agent, header.stage: header.settings}),
        "",
        f"SHA-256 of `{file.path.name}`: `{file.sha256}`",
    ]
    return "\n".join(lines) + "\n"


def _origin(header: NetworkHeader, origin: str | None) -> list[str]:
    seeds = "; ".join(f"{stage} {', '.join(map(str, numbers))}" for stage, numbers in header.seeds.items())
    commit = "of an unrecorded commit" if header.git_commit is None else f"commit {header.git_commit}"
    changed = ", changed since" if header.git_dirty else ""
    exported_from = [] if origin is None else [f"- {origin}."]
    return [
        *exported_from,
        f"- Job `{header.key}`: stage {header.stage}, version {header.stage_version}.",
        f"- Seeds, by stage: {seeds}.",
        f"- Code: xtra-bench {header.xtra_version}, {commit}{changed}.",
    ]


def _data(header: NetworkHeader) -> list[str]:
    if not header.data:
        return ["None: it learned from its own play."]
    rows = [
        f"| {data.game} | {data.transitions:,} | `{data.key}` | {name} | `{digest}` |"
        for data in header.data
        for name, digest in data.files.items()
    ]
    return ["| game | transitions | made by | file | SHA-256 |", "|---|--:|---|---|---|", *rows]


def _settings(blocks: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Returns one table row per setting, by dotted path."""
    rows = []
    for name, value in blocks.items():
        if isinstance(value, Mapping):
            rows += _settings(value, f"{prefix}{name}.")
        else:
            rows.append(f"| {prefix}{name} | {json.dumps(value)} |")
    return rows
