"""Where jobs stand, from files alone: from any machine, without a scheduler, while they run or years later."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from xtra.execute.progress import Progress, read_progress
from xtra.stages.registry import STAGES
from xtra.store.errors import DamagedError
from xtra.store.job import Job
from xtra.store.store import State, Store


@dataclass(frozen=True)
class Standing:
    """One job: its state, how far it is while it runs, and the first line of why it failed."""

    key: str
    state: State
    progress: Progress | None = None
    reason: str = ""


def survey(store: Store, keys: Iterable[str]) -> list[Standing]:
    """The standing of each job, in the order given. Outputs are trusted, not read: see `Store.verify`."""
    now = time.time()
    return [_standing(store, key, now) for key in keys]


def by_stage(standings: Iterable[Standing]) -> dict[str, Counter[State]]:
    """How many jobs of each stage are in which state, stages in the order in which they follow one another."""
    counts: dict[str, Counter[State]] = {}
    for standing in standings:
        counts.setdefault(standing.key.rpartition("-")[0], Counter())[standing.state] += 1
    order = dict.fromkeys((*STAGES, *counts))
    return {stage: counts[stage] for stage in order if stage in counts}


def last_words(store: Store, key: str, lines: int) -> str:
    """Why the last attempt failed, if it did, and the end of what the job printed."""
    error, log = _text(store, key, "error.txt"), _text(store, key, "log.txt")
    tail = log.splitlines()[-lines:]
    already_said = error.strip() and error.strip() in log
    return "\n".join(([] if already_said or not error else [error.rstrip()]) + tail) or "(nothing was printed)"


def job_or_none(store: Store, key: str) -> Job | None:
    """The job's record, None when it is damaged."""
    try:
        return store.job(key)
    except DamagedError:
        return None


def _standing(store: Store, key: str, now: float) -> Standing:
    state = store.state(key, now)
    if state is State.RUNNING:
        return Standing(key, state, read_progress(store.work(key)))
    if state is State.FAILED:
        return Standing(key, state, reason=_text(store, key, "error.txt").partition("\n")[0])
    return Standing(key, state)


def _text(store: Store, key: str, name: str) -> str:
    try:
        return (store.work(key) / name).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
