"""Stores outlive releases: what the first schema wrote is read as it was meant. Files here are never regenerated."""

from __future__ import annotations

import shutil
from pathlib import Path

from xtra.store.job import Resources
from xtra.store.store import State, Store

DATA = Path(__file__).parent / "data"


def test_a_job_of_schema_1_is_read_verified_and_not_run_again(tmp_path: Path) -> None:
    shutil.copytree(DATA / "store_schema_1", tmp_path / "store")
    store = Store(tmp_path / "store")
    assert list(store.keys()) == ["train-ebca35a902074362305a6e81"]
    (key,) = store.keys()
    job = store.job(key)
    assert (job.config, job.inputs) == ({"seed": 3, "rate": 0.1}, {"before": ("dataset-0",)})
    assert job.resources == Resources(cpus=2)
    manifest = store.verify(key)
    assert manifest is not None
    assert (manifest.status, manifest.seconds) == ("complete", 1.5)
    assert manifest.provenance["hardware"]["device"] == "cpu"
    assert store.state(key, now=0.0) is State.COMPLETE
    assert store.begin(key) is None
