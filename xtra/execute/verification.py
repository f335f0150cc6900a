"""Verification of a certified study: some of its jobs are drawn, run again in a fresh store, and compared byte by byte."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from xtra.execute.local import LocalQueue
from xtra.execute.machine import Machine
from xtra.execute.status import last_words
from xtra.plugins import plugins_of
from xtra.results.certificate import Certificate, CertifiedJob, computed_on
from xtra.stages.registry import STAGES
from xtra.store.files import SECONDS_FILE
from xtra.store.job import Job
from xtra.store.store import Store
from xtra.suite.plan import closure
from xtra.suite.summary import duration


@dataclass(frozen=True)
class Draw:
    """The jobs to be run again. drawn: those that were drawn; jobs: they and all their ancestors, inputs first.

    seconds: what `jobs` took when they were certified, one after another. eligible: how many jobs could have been drawn.
    excluded: why others could not, by key.
    """

    drawn: tuple[str, ...]
    jobs: Mapping[str, Job]
    seconds: float
    eligible: int
    excluded: Mapping[str, str]


@dataclass(frozen=True)
class Comparison:
    """A job that was run again. differing: files that are not as certified; empty if all are.

    failure: why there is nothing to compare.  elsewhere: what differs between the machines that can change bits.
    """

    key: str
    differing: tuple[str, ...] = ()
    failure: str = ""
    elsewhere: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """True if every byte is the same."""
        return not self.differing and not self.failure


@dataclass(frozen=True)
class ScoreComparison:
    """The score of an evaluation in the study's rows, None if it is in none, and the one that it has here."""

    key: str
    certified: float | None
    here: float | None

    @property
    def equal(self) -> bool:
        """True if both are the same number. Rows hold scores in full."""
        return self.certified == self.here


def draw(certificate: Certificate, *, seconds: float, share: float, seed: int) -> Draw:
    """Draws a share of the jobs among those that, with their ancestors, take no longer than `seconds`: at least one, and only as
    many as fit together. The draw is a function of the seed and the keys."""
    certified = {one.key: one for one in certificate.jobs}
    jobs = {key: one.to_job() for key, one in certified.items()}
    excluded: dict[str, str] = {}
    for key in jobs:
        reason = _why_not(key, jobs, certified, seconds)
        if reason:
            excluded[key] = reason
    eligible = sorted(jobs.keys() - excluded.keys(), key=lambda key: hashlib.sha256(f"{seed}:{key}".encode()).digest())
    drawn: list[str] = []
    for key in eligible:
        if len(drawn) >= max(1, math.ceil(share * len(eligible))):
            break
        if _price([*drawn, key], jobs, certified) <= seconds:
            drawn.append(key)
    needed = closure(jobs, drawn)
    return Draw(tuple(drawn), needed, sum(certified[key].seconds for key in needed), len(eligible), excluded)


def run_again(jobs: Mapping[str, Job], store: Store, machine: Machine, observe: Callable[[LocalQueue], None]) -> None:
    """Runs the jobs in a store of their own."""
    LocalQueue(store, jobs, machine).run(observe)


def compare(certificate: Certificate, store: Store, keys: Mapping[str, Job]) -> Iterator[Comparison]:
    """Yields the comparison of each of these jobs' outputs in `store` with what was certified, in their order."""
    for one in certificate.jobs:
        if one.key not in keys:
            continue
        manifest = store.verify(one.key)
        if manifest is None:
            yield Comparison(one.key, failure=last_words(store, one.key, 1))
            continue
        files = {name: record.sha256 for name, record in manifest.files.items()}
        differing = _differing(one, files)
        if manifest.status != one.status:
            differing = (f"status: {one.status} there, {manifest.status} here", *differing)
        there = certificate.computed_on[one.computed_on]
        yield Comparison(one.key, differing, elsewhere=tuple(there.differences(computed_on(manifest.provenance))))


def compare_scores(scores: Mapping[str, float], store: Store, jobs: Mapping[str, Job]) -> Iterator[ScoreComparison]:
    """Yields the comparison of each evaluation's score among the jobs with that in the study's rows (`certified_scores`)."""
    for key, job in jobs.items():
        manifest = store.manifest(key) if job.stage == "evaluate" else None
        if manifest is not None:
            summary = json.loads((store.out(key) / "summary.json").read_bytes()) if manifest.status == "complete" else {}
            yield ScoreComparison(key, scores.get(key), summary.get("score"))


def _differing(one: CertifiedJob, files: Mapping[str, str]) -> tuple[str, ...]:
    """Paths of files that were altered, lost or added, but for what was dropped before the study was certified and for
    measured times."""
    names = sorted(one.files.keys() | files.keys())
    kept = [name for name in names if name.partition("/")[0] not in (*one.dropped, SECONDS_FILE)]
    return tuple(name for name in kept if one.files.get(name) != files.get(name))


def _why_not(key: str, jobs: Mapping[str, Job], certified: Mapping[str, CertifiedJob], seconds: float) -> str:
    """Explains why a job cannot be drawn; nothing if it can."""
    ancestors, missing = _ancestors(key, jobs)
    if missing:
        return f"{missing}, on which it stands, is not certified"
    for job in ancestors:
        if job.stage == "imported":
            return "it starts from a network that was trained elsewhere"
        if job.stage not in STAGES or STAGES[job.stage].version != job.version:
            here = STAGES[job.stage].version if job.stage in STAGES else "none"
            return f"{job.key} was made by version {job.version} of stage {job.stage}, but this code has {here}"
        if dict(job.plugins) != plugins_of(job.config):
            return f"{job.key} runs on plugin {', '.join(job.plugins) or 'none'}, which is not the one that is here"
    price = sum(certified[job.key].seconds for job in ancestors)
    return f"with its ancestors it takes {duration(price)}" if price > seconds else ""


def _ancestors(key: str, jobs: Mapping[str, Job]) -> tuple[list[Job], str | None]:
    """Returns the job and all that it depends on; and the first key among them that is not in `jobs`, if any."""
    reached: dict[str, Job] = {}
    pending = [key]
    while pending:
        key = pending.pop()
        if key not in jobs:
            return list(reached.values()), key
        if key not in reached:
            reached[key] = jobs[key]
            pending += jobs[key].input_keys
    return list(reached.values()), None


def _price(keys: list[str], jobs: Mapping[str, Job], certified: Mapping[str, CertifiedJob]) -> float:
    return sum(certified[key].seconds for key in closure(jobs, keys))
