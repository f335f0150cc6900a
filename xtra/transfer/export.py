"""From a job in the store to the file of its network: its weights, and everything that they stand on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from xtra.agents.config import IMPORTED_FILE
from xtra.store.errors import StoreError
from xtra.store.job import Job
from xtra.store.store import Store
from xtra.transfer.exchange import FORMAT, NetworkHeader, SourceData, network_bytes

EXPORTED_STAGES = ("train", "pretrain", "teacher", "imported")
"""Stages whose jobs leave a network."""


def export_network(store: Store, key: str) -> bytes:
    """The file of the network that a complete job left; of an imported one, the very file. Raises StoreError."""
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

    from xtra.agents.factory import load_weights

    return network_bytes(load_weights(store.out(key), torch.device("cpu")), network_header(store, job))


def network_header(store: Store, job: Job) -> NetworkHeader:
    """What is told of the network of a complete job. Raises DamagedError where the store has lost something it stands on."""
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
        games=tuple(dict.fromkeys(game for one in lineage for game in _games(one))),
        seeds=_seeds(lineage),
        data=tuple(data for one in lineage for data in _data(store, one)),
        xtra_version=provenance["packages"]["xtra-bench"],
        git_commit=provenance["git_commit"],
        git_dirty=provenance["git_dirty"],
    )


def _lineage(store: Store, job: Job, met: set[str]) -> Iterator[Job]:
    """The job and every job it stands on, each once, after those it reads, in the order it reads them."""
    for key in job.input_keys:
        if key not in met:
            met.add(key)
            yield from _lineage(store, store.job(key), met)
    yield job


def _games(job: Job) -> Iterable[str]:
    if job.stage == "imported":
        games: list[str] = job.config["games"]
        return games
    game: str = job.config["environment"]["game"]
    return [game] if game else []


def _seeds(lineage: Iterable[Job]) -> dict[str, tuple[int, ...]]:
    found: dict[str, set[int]] = {}
    for job in lineage:
        if job.stage == "imported":
            for stage, seeds in job.config["seeds"].items():
                found.setdefault(stage, set()).update(seeds)
        elif not (job.stage == "dataset" and job.inputs):  # Of a run, the seed is the run's own.
            found.setdefault(job.stage, set()).add(job.config["seed"])
    return {stage: tuple(sorted(seeds)) for stage, seeds in sorted(found.items())}


def _data(store: Store, job: Job) -> Iterator[SourceData]:
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
