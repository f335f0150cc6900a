"""The state of jobs and how long the rest will take, from files alone: from any machine, without a scheduler, at any time.

The forecast judges by finished jobs of the same kinds.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xtra.stages.registry import STAGES
from xtra.store.checkpoint import CHECKPOINTS
from xtra.store.files import StoreError
from xtra.store.job import Job
from xtra.store.rows import Cell
from xtra.store.store import State, Store
from xtra.suite.plan import Plan
from xtra.suite.summary import Cost, kind
from xtra.telemetry import Progress, read_progress


@dataclass(frozen=True)
class JobStatus:
    """One job: its state, how far it (if it was interrupted, its last checkpoint) is, and the first line of why it failed."""

    key: str
    state: State
    progress: Progress | None = None
    reason: str = ""


def job_statuses(store: Store, keys: Iterable[str]) -> list[JobStatus]:
    """Looks up each job, in the order given. Outputs are trusted, not read: see `Store.verify`."""
    now = time.time()
    return [_job_status(store, key, now) for key in keys]


def by_stage(statuses: Iterable[JobStatus]) -> dict[str, Counter[State]]:
    """Counts the jobs of each stage by state, stages in the order in which they follow one another."""
    counts: dict[str, Counter[State]] = {}
    for job_status in statuses:
        counts.setdefault(job_status.key.rpartition("-")[0], Counter())[job_status.state] += 1
    order = dict.fromkeys((*STAGES, *counts))
    return {stage: counts[stage] for stage in order if stage in counts}


def last_words(store: Store, key: str, lines: int) -> str:
    """Returns why the last attempt failed, if it did, and the end of what the job printed."""
    error, log = _text(store, key, "error.txt"), _text(store, key, "log.txt")
    tail = log.splitlines()[-lines:]
    already_said = error.strip() and error.strip() in log
    return "\n".join(([] if already_said or not error else [error.rstrip()]) + tail) or "(nothing was printed)"


def job_or_none(store: Store, key: str) -> Job | None:
    """Returns the job's record, None when it is damaged or cannot be read."""
    try:
        return store.job(key)
    except StoreError:
        return None


def _job_status(store: Store, key: str, now: float) -> JobStatus:
    state = store.state(key, now)
    if state is State.RUNNING:
        return JobStatus(key, state, read_progress(store.work(key)))
    if state is State.INTERRUPTED:
        return JobStatus(key, state, read_progress(store.work(key) / CHECKPOINTS), resumption(store, key))
    if state is State.FAILED:
        return JobStatus(key, state, reason=_text(store, key, "error.txt").partition("\n")[0])
    if state in (State.DAMAGED, State.UNREADABLE):
        return JobStatus(key, state, reason=_fault(store, key))
    return JobStatus(key, state)


def resumption(store: Store, key: str) -> str:
    """Tells from where the next run goes on with a job that was begun and not ended."""
    directory = store.work(key) / CHECKPOINTS
    saved = read_progress(directory)
    if saved is not None:
        return f"goes on from {saved.position}"
    return "goes on from its checkpoint" if any(directory.glob("step-*")) else "begins again: it has no checkpoint yet"


def _fault(store: Store, key: str) -> str:
    try:
        store.verify(key, quick=True)
        return f"{store.directory(key)}: cannot be read"
    except StoreError as error:
        return str(error)


def _text(store: Store, key: str, name: str) -> str:
    try:
        return (store.work(key) / name).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def plan_labels(plan: Plan) -> dict[str, str]:
    """Returns the labels of a plan's jobs; see `cell_labels`."""
    return cell_labels(plan.jobs, plan.cells)


def cell_labels(jobs: Mapping[str, Job], cells: Iterable[Cell]) -> dict[str, str]:
    """Labels jobs: `train EfficientZero/Pong/0` for those of a cell (and how many more cells share it), `stage game` for
    others."""
    names: dict[str, dict[str, None]] = {}
    for cell in cells:
        for key in cell.keys:
            names.setdefault(key, {})[cell.name] = None
    return {key: _shared(job, list(names[key])) if key in names else job_label(job) for key, job in jobs.items()}


def job_label(job: Job) -> str:
    """Labels a job by stage, game or games, and seed, as far as the configuration has them."""
    environment: Any = job.config.get("environment")
    game = environment.get("game") if isinstance(environment, Mapping) else None
    games, seed = job.config.get("games", ()), job.config.get("seed")
    several = f"{len(games)} games" if len(games) > 1 else "".join(games)
    return " ".join(str(part) for part in (job.stage, game or several, "" if seed is None else f"seed {seed}") if part)


def _shared(job: Job, names: list[str]) -> str:
    more = f" (+{len(names) - 1})" if len(names) > 1 else ""
    return f"{job.stage} {names[0]}{more}"


@dataclass(frozen=True)
class Forecast:
    """How far a plan's jobs are, and when they will have ended.

    percent: of the work, where a job weighs its mean seconds if all kinds have finished once, else the same as any other.
    seconds_left: the work left, shared by as many jobs as run now, but no less than the longest chain of jobs that wait for one
    another; 0 when all have ended, None when nothing runs, or a job is left of a kind that has never finished.
    unfinished: jobs that can still end.  blocked: those behind one that has failed or diverged.
    """

    percent: float
    seconds_left: float | None
    unfinished: frozenset[str]
    blocked: frozenset[str]


def forecast(statuses: Sequence[JobStatus], jobs: Mapping[str, Job], costs: Mapping[str, Cost]) -> Forecast:
    """Forecasts these jobs. jobs: their records by key, without damaged ones. costs: see `summary.finished_costs`."""
    ended = {one.key for one in statuses if one.state in (State.FAILED, State.DIVERGED, State.UNREADABLE)}
    left_over = frozenset(one.key for one in statuses if not one.state.final) - ended
    blocked = left_over & _behind(ended, jobs)
    unfinished = left_over - blocked
    seconds = {key: cost.seconds for key, job in jobs.items() if (cost := costs.get(kind(job))) is not None}
    all_known = all(one.key in seconds for one in statuses)
    weights = {one.key: seconds[one.key] if all_known else 1.0 for one in statuses}
    shares_left = {one.key: 1.0 - _share_done(one) for one in statuses}
    total = sum(weights.values())
    done = sum(weights[key] * (1.0 - share) for key, share in shares_left.items())
    running = sum(one.state is State.RUNNING for one in statuses)
    remaining = {key: seconds[key] * shares_left[key] for key in unfinished if key in seconds}
    over = all(one.state.final for one in statuses)
    predictable = over or (running > 0 and len(remaining) == len(unfinished))
    return Forecast(
        percent=100.0 * done / total if total else 100.0,
        seconds_left=max(sum(remaining.values()) / max(running, 1), _longest_chain(remaining, jobs)) if predictable else None,
        unfinished=unfinished,
        blocked=blocked,
    )


def _behind(ended: Iterable[str], jobs: Mapping[str, Job]) -> frozenset[str]:
    """Returns the jobs that wait for one of `ended`, directly or through others."""
    hopeless, blocked = set(ended), set[str]()
    while new := {key for key, job in jobs.items() if key not in hopeless and not hopeless.isdisjoint(job.input_keys)}:
        hopeless |= new
        blocked |= new
    return frozenset(blocked)


def _share_done(one: JobStatus) -> float:
    if one.state.final:
        return 1.0
    return min(1.0, one.progress.done / one.progress.total) if one.progress is not None and one.progress.total > 0 else 0.0


def _longest_chain(seconds: Mapping[str, float], jobs: Mapping[str, Job]) -> float:
    """Returns the sum of the longest chain of the jobs that `seconds` names, each waiting for the one before it."""
    ends: dict[str, float] = {}

    def end(key: str) -> float:
        if key not in ends:
            ends[key] = max((end(other) for other in jobs[key].input_keys if other in seconds), default=0.0) + seconds[key]
        return ends[key]

    return max(map(end, seconds), default=0.0)
