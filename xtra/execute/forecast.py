"""How far a set of jobs is, and how long the rest will take, judged by finished jobs of the same kinds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from xtra.execute.status import JobStatus
from xtra.store.job import Job
from xtra.store.store import State
from xtra.suite.summary import Cost, kind


@dataclass(frozen=True)
class Forecast:
    """percent: of the work, where a job weighs its mean seconds if all kinds have finished once, else the same as any other.

    seconds_left: the work left, shared by as many jobs as run now, but no less than the longest chain of jobs that wait for one
    another; 0 when all have ended, None when nothing runs, or a job is left of a kind that has never finished.
    unfinished: jobs that can still end.  blocked: those behind one that has failed or diverged.
    """

    percent: float
    seconds_left: float | None
    unfinished: frozenset[str]
    blocked: frozenset[str]


def forecast(statuses: Sequence[JobStatus], jobs: Mapping[str, Job], costs: Mapping[str, Cost]) -> Forecast:
    """The forecast for these jobs. jobs: their records by key, without damaged ones. costs: see `summary.finished_costs`."""
    ended = {one.key for one in statuses if one.state in (State.FAILED, State.DIVERGED, State.UNREADABLE)}
    left_over = frozenset(one.key for one in statuses if not one.state.final) - ended
    blocked = left_over & _behind(ended, jobs)
    unfinished = left_over - blocked
    seconds = {key: cost.seconds for key, job in jobs.items() if (cost := costs.get(kind(job))) is not None}
    known = all(one.key in seconds for one in statuses)
    weights = {one.key: seconds[one.key] if known else 1.0 for one in statuses}
    shares_left = {one.key: 1.0 - _share_done(one) for one in statuses}
    total = sum(weights.values())
    done = sum(weights[key] * (1.0 - share) for key, share in shares_left.items())
    running = sum(one.state is State.RUNNING for one in statuses)
    left = {key: seconds[key] * shares_left[key] for key in unfinished if key in seconds}
    over = all(one.state.final for one in statuses)
    predictable = over or (running > 0 and len(left) == len(unfinished))
    return Forecast(
        percent=100.0 * done / total if total else 100.0,
        seconds_left=max(sum(left.values()) / max(running, 1), _longest_chain(left, jobs)) if predictable else None,
        unfinished=unfinished,
        blocked=blocked,
    )


def _behind(ended: Iterable[str], jobs: Mapping[str, Job]) -> frozenset[str]:
    """The jobs that wait for one of `ended`, directly or through others."""
    hopeless, blocked = set(ended), set[str]()
    while new := {key for key, job in jobs.items() if key not in hopeless and not hopeless.isdisjoint(job.input_keys)}:
        hopeless |= new
        blocked |= new
    return frozenset(blocked)


def _share_done(one: JobStatus) -> float:
    if one.state.final:
        return 1.0
    return min(1.0, one.progress.done / one.progress.total) if one.progress is not None and one.progress.total > 0 else 0.0


def _longest_chain(left: Mapping[str, float], jobs: Mapping[str, Job]) -> float:
    """Seconds of the longest chain of jobs in `left`."""
    ends: dict[str, float] = {}

    def end(key: str) -> float:
        if key not in ends:
            ends[key] = max((end(needed) for needed in jobs[key].input_keys if needed in left), default=0.0) + left[key]
        return ends[key]

    return max(map(end, left), default=0.0)
