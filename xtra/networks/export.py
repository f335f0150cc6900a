"""Exporting a network: from a job in the store to a file of its weights and of everything that they depend on, and a card.

The card beside the file tells people how to use the network, where it comes from, and its source data and settings.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from xtra.agents.config import IMPORTED_FILE
from xtra.networks.network_file import FORMAT, NetworkFile, NetworkHeader, SourceData, network_bytes
from xtra.store.files import StoreError
from xtra.store.job import Job
from xtra.store.store import Store

EXPORTED_STAGES = ("train", "pretrain", "teacher", "imported")
"""Stages whose jobs leave a network."""


def export_network(store: Store, key: str) -> bytes:
    """Returns the bytes of a complete job's network file: for an imported one, of the file it came from. Raises StoreError."""
    job = store.job(key)
    if job.stage not in EXPORTED_STAGES:
        raise StoreError(f"{key} leaves no network; jobs of stage {', '.join(EXPORTED_STAGES)} do")
    manifest = store.verify(key)
    if manifest is None or manifest.status != "complete":
        state = "not finished" if manifest is None else manifest.status
        raise StoreError(f"{key} is {state}, and only a complete job's network is exported")
    if job.stage == "imported":
        return (store.out(key) / IMPORTED_FILE).read_bytes()
    import torch

    from xtra.agents.interface import load_weights

    return network_bytes(load_weights(store.out(key), torch.device("cpu")), network_header(store, job))


def network_header(store: Store, job: Job) -> NetworkHeader:
    """Describes the network of a complete job. Raises DamagedError where the store has lost a job that it depends on."""
    manifest = store.manifest(job.key)
    assert manifest is not None
    lineage = list(_lineage(store, job, set()))
    provenance = manifest.provenance
    return NetworkHeader(
        format=FORMAT,
        agent=job.config["agent"],
        environment=job.config["environment"],
        stage=job.stage,
        stage_version=job.version,
        key=job.key,
        settings={name: value for name, value in job.config.items() if name not in ("agent", "environment")},
        games=tuple(dict.fromkeys(game for ancestor in lineage for game in _games(ancestor))),
        seeds=_seeds(lineage),
        data=tuple(data for ancestor in lineage for data in _source_data(store, ancestor)),
        xtra_version=provenance["packages"]["xtra-bench"],
        git_commit=provenance["git_commit"],
        git_dirty=provenance["git_dirty"],
    )


def _lineage(store: Store, job: Job, visited: set[str]) -> Iterator[Job]:
    """Yields all jobs that a job depends on, and then the job itself: each once, inputs first, in the order they are read."""
    for key in job.input_keys:
        if key not in visited:
            visited.add(key)
            yield from _lineage(store, store.job(key), visited)
    yield job


def _games(job: Job) -> Iterable[str]:
    if job.stage == "imported":
        games: list[str] = job.config["games"]
        return games
    game: str = job.config["environment"]["game"]
    return [game] if game else []


def _seeds(lineage: Iterable[Job]) -> dict[str, tuple[int, ...]]:
    by_stage: dict[str, set[int]] = {}
    for job in lineage:
        if job.stage == "imported":
            for stage, seeds in job.config["seeds"].items():
                by_stage.setdefault(stage, set()).update(seeds)
        elif not (job.stage == "dataset" and job.inputs):  # A run's dataset has no seed of its own.
            by_stage.setdefault(job.stage, set()).add(job.config["seed"])
    return {stage: tuple(sorted(seeds)) for stage, seeds in sorted(by_stage.items())}


def _source_data(store: Store, job: Job) -> Iterator[SourceData]:
    if job.stage == "imported":
        for record in job.config["data"]:
            yield SourceData.model_validate(record)
    elif job.stage == "dataset":
        manifest = store.verify(job.key, quick=True)
        if manifest is None:
            raise StoreError(f"{job.key}, the data of {job.config['environment']['game']}, is not in the store any more")
        meta: dict[str, Any] = json.loads((store.out(job.key) / "meta.json").read_bytes())
        files = {name: record.sha256 for name, record in manifest.files.items()}
        game = job.config["environment"]["game"]
        yield SourceData(game=game, key=job.key, transitions=meta["counts"]["transitions"], files=files)


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
