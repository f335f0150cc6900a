"""What a store holds that no run asks for any more."""

from __future__ import annotations

import json
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xtra.store.claim import acquire
from xtra.store.store import State, Store

DAY = 86_400.0


@dataclass(frozen=True)
class Garbage:
    """A job that no run's plan names, and that nothing has touched for a while. `size` in bytes."""

    key: str
    size: int


def planned_keys(results: Path) -> frozenset[str]:
    """The jobs of every run under `results/runs`. Raises ValueError naming a plan that cannot be read: nothing is safe then."""
    keys: set[str] = set()
    for path in sorted((results / "runs").glob("*/plan.json")):
        try:
            keys.update(job["key"] for job in json.loads(path.read_bytes())["jobs"])
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{path}: is not a plan (truncated?); run its suite again, or remove that run") from None
    return frozenset(keys)


def find_garbage(store: Store, planned: frozenset[str], days: float) -> Iterator[Garbage]:
    """Jobs to remove. A job that is young may belong to a suite that is still running: its plan is written at the end."""
    now, keys = time.time(), store.keys()
    for key in keys:
        files = [path for path in store.directory(key).rglob("*") if path.is_file()]
        age = now - max((path.stat().st_mtime for path in files), default=0.0)
        if key not in planned and age > days * DAY and store.state(key, now) is not State.RUNNING:
            yield Garbage(key, sum(path.stat().st_size for path in files))


def remove(store: Store, key: str) -> bool:
    """Deletes a job and all it left, under its claim. Returns False when a process has just begun it."""
    if acquire(store.directory(key)) is None:
        return False
    trash = store.root / f".{secrets.token_hex(8)}.tmp"
    store.directory(key).rename(trash)  # at once: nobody may find half a job
    shutil.rmtree(trash)
    return True
