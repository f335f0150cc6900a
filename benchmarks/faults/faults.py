"""Injects faults into small runs, and counts what was lost, computed twice or corrupted.

    python benchmarks/faults/faults.py --trials 100 --out results/ours/faults.jsonl

A trial is a store with two light jobs, one of which reads the other, one fault, and then runs until all is complete. It counts
only if the fault was seen to strike. Trials are numbered and seeded, and one that is in the file is not made again, so a campaign
can be stopped and given again. `--plant BUG` breaks the code on purpose: the campaign must notice.
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
LIGHT = ROOT / "tests" / "execute"
sys.path[:0] = [str(ROOT), str(LIGHT)]

from light_bench import Bench  # noqa: E402 - found through the line above

from xtra.execute import worker  # noqa: E402
from xtra.stages.context import Stopped, StopRequest  # noqa: E402
from xtra.store import checkpoint, claim, files  # noqa: E402
from xtra.store.files import StoreError  # noqa: E402
from xtra.store.job import Job  # noqa: E402
from xtra.store.store import State  # noqa: E402

STEPS = 6
STEP_SECONDS = 0.03
"""Long beside the start of a worker, so that faults strike while both are at work."""
ATTEMPTS = 8
"""Runs after the fault, within which all must be complete."""
NOBODY = 65534


@dataclass(frozen=True)
class Trial:
    """One fault. struck: it was seen to happen.  lost: jobs without a result in the end, and steps made again that a fault of its
    kind may not cost.  duplicated: steps that two processes made.  corrupt: results other than the undisturbed one."""

    kind: str
    number: int
    struck: bool
    lost: int = 0
    duplicated: int = 0
    corrupt: int = 0
    seconds: float = 0.0

    @property
    def bad(self) -> int:
        return self.lost + self.duplicated + self.corrupt


class Setting:
    """The store of one trial: `first`, and `second`, which reads it."""

    def __init__(self, directory: Path, draw: random.Random) -> None:
        self.bench, self.draw = Bench(directory), draw
        self.first = self.bench.job("first", steps=STEPS, seconds=STEP_SECONDS)
        self.second = self.bench.job("second", self.first, steps=STEPS, seconds=STEP_SECONDS)
        self.jobs = (self.first, self.second)

    def start(self, job: Job, prepare: Callable[[], object] = lambda: None) -> int:
        """Forks a worker for the job, after `prepare` in the fork. Returns its process id."""
        pid = os.fork()
        if pid:
            return pid
        status = 1
        try:
            stop = StopRequest()
            stop.listen()
            self._silence()
            prepare()
            status = worker.run_job(str(self.bench.store.root), job.key, self.bench.stages, stop)
        except Stopped as stopped:
            status = 128 + stopped.signal_number
        finally:
            os._exit(status)

    def run(self, job: Job, prepare: Callable[[], object] = lambda: None) -> int:
        """Starts a worker and waits for it. Returns its exit status, negative for a signal."""
        return wait(self.start(job, prepare))

    def wait_for_step(self, name: str, step: int) -> None:
        """Waits until the job of that name has made so many steps."""
        deadline = time.monotonic() + 20
        while sum(key.startswith(f"{name} ") for key in self.bench.computed()) < step and time.monotonic() < deadline:
            time.sleep(0.001)

    def complete(self) -> None:
        """Runs until all is complete, as `xtra-bench run` given again and again does."""
        for _ in range(ATTEMPTS):
            for job in self.jobs:
                with suppress(StoreError):
                    self.bench.store.add(job)
                if not self.bench.store.state(job.key, time.time(), verify=True).final:
                    self.run(job)
            if all(self.bench.store.state(job.key, time.time(), verify=True) is State.COMPLETE for job in self.jobs):
                return

    def some_file(self) -> Path:
        """Any file of the store that is not empty."""
        paths = sorted(path for path in self.bench.store.root.rglob("*") if path.is_file() and path.stat().st_size)
        return self.draw.choice(paths)

    def interrupted_or_complete(self) -> None:
        """A worker of one of the jobs was killed at some step, or both are complete."""
        if self.draw.random() < 0.5:
            self.complete()
            return
        victim = self.draw.choice(self.jobs)
        if victim is self.second:
            self.run(self.first)
        pid = self.start(victim)
        self.wait_for_step(str(victim.config["name"]), self.draw.randint(1, STEPS - 1))
        os.kill(pid, signal.SIGKILL)
        wait(pid)

    def _silence(self) -> None:
        log = os.open(os.devnull, os.O_WRONLY)
        os.dup2(log, 1)
        os.dup2(log, 2)


def wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def expected() -> dict[str, str]:
    """The undisturbed results, computed here and not by the stage."""
    results, digest = {}, b""
    for name in ("first", "second"):
        digest = hashlib.sha256(results["first"].encode()).digest() if name == "second" else b""
        for _ in range(STEPS):
            digest = hashlib.sha256(digest + name.encode()).digest()
        results[name] = digest.hex()
    return results


Fault = Callable[[Setting], tuple[bool, int]]
"""Does its harm. Returns whether it struck, and how many steps may be made twice for it."""


def ended_by(setting: Setting, number: signal.Signals) -> int:
    """Sends a signal to a worker at a random moment. Returns its exit status."""
    victim = setting.draw.choice(setting.jobs)
    if victim is setting.second:
        setting.run(setting.first)
    pid = setting.start(victim)
    setting.wait_for_step(str(victim.config["name"]), 1)
    time.sleep(setting.draw.uniform(0, (STEPS - 1) * STEP_SECONDS * 1.5))
    os.kill(pid, number)
    return wait(pid)


def kill(setting: Setting) -> tuple[bool, int]:
    # The step whose checkpoint is on disk and whose line is not in the ledger yet is not made again; one without is, once.
    return ended_by(setting, signal.SIGKILL) == -signal.SIGKILL, 1


def stop(setting: Setting) -> tuple[bool, int]:
    return ended_by(setting, signal.SIGTERM) == 128 + signal.SIGTERM, 0


def full_disk(setting: Setting) -> tuple[bool, int]:
    """The n-th write finds no room, and leaves half of its file."""
    struck, calls, fatal = setting.bench.ledger.with_name("struck"), iter(range(10**6)), setting.draw.randint(0, 2 * STEPS)
    fsync = os.fsync

    def fails(descriptor: int) -> None:
        if next(calls) == fatal:
            struck.touch()
            with suppress(OSError):
                os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    setting.run(setting.first, lambda: setattr(files.os, "fsync", fails))
    return struck.exists(), STEPS


def truncated(setting: Setting) -> tuple[bool, int]:
    setting.interrupted_or_complete()
    path = setting.some_file()
    data = path.read_bytes()
    path.write_bytes(data[: setting.draw.randrange(len(data))])
    return path.read_bytes() != data, age_if_claim(path)


def flipped(setting: Setting) -> tuple[bool, int]:
    setting.interrupted_or_complete()
    path = setting.some_file()
    data = bytearray(path.read_bytes())
    data[setting.draw.randrange(len(data))] ^= 1 << setting.draw.randrange(8)
    path.write_bytes(data)
    return True, age_if_claim(path)


def age_if_claim(path: Path) -> int:
    """A damaged claim blocks until its lease of two minutes is over: not waited for here. Returns the steps it may cost."""
    if path.name.startswith("claim-"):
        os.utime(path, (time.time() - claim.LEASE_SECONDS - 1,) * 2)
    return 2 * STEPS + 1


def unreadable(setting: Setting) -> tuple[bool, int]:
    """A file is another user's for one run, then its owner mends it. Nothing that is complete may be made again."""
    setting.interrupted_or_complete()
    path = setting.some_file()
    complete = [job for job in setting.jobs if setting.bench.state(job) is State.COMPLETE]
    before = setting.bench.computed()
    everything = [setting.bench.ledger, setting.bench.ledger.parent, *setting.bench.ledger.parent.rglob("*")]
    if os.getuid() == 0:
        for each in everything:
            os.chown(each, NOBODY, NOBODY)
    path.chmod(0)
    struck = setting.bench.ledger.with_name("struck")

    def become_nobody() -> None:
        if os.getuid() == 0:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        with suppress(OSError):
            path.read_bytes()
            return
        struck.touch()

    for job in setting.jobs:
        setting.run(job, become_nobody)
    if path.exists():
        path.chmod(0o644)
    again = setting.bench.computed() - before
    spoiled = any(key.startswith(f"{job.config['name']} ") for job in complete for key in again)
    return struck.exists(), 0 if spoiled else 2 * STEPS


def lost_rename(setting: Setting) -> tuple[bool, int]:
    """The n-th rename is reported done, and is not."""
    struck, calls = setting.bench.ledger.with_name("struck"), iter(range(10**6))
    fatal, replace = setting.draw.randint(0, 2 * STEPS), Path.replace

    def forgets(self: Path, target: Path) -> Path:
        if next(calls) == fatal:
            struck.touch()
            return target
        return replace(self, target)

    setting.run(setting.first, lambda: setattr(Path, "replace", forgets))
    return struck.exists(), STEPS


def stolen_claim(setting: Setting) -> tuple[bool, int]:
    """A worker that lives is taken for dead: both compute, and one of them must not commit."""
    zombie = setting.start(setting.first)
    setting.wait_for_step("first", setting.draw.randint(1, STEPS - 2))
    os.kill(zombie, signal.SIGSTOP)
    directory = setting.bench.store.directory(setting.first.key)
    for path in directory.glob("claim-*"):
        os.utime(path, (time.time() - 3600,) * 2)
    thief = setting.start(setting.first)
    setting.wait_for_step("first", STEPS - 1) if setting.draw.random() < 0.5 else time.sleep(setting.draw.uniform(0, 0.05))
    os.kill(zombie, signal.SIGCONT)
    statuses = wait(zombie), wait(thief)
    return worker.Exit.CLAIM_LOST in statuses, STEPS


def clock_set_back(setting: Setting) -> tuple[bool, int]:
    """A worker dies, and after it the clock goes back by an hour: its claim is from the future."""
    status = ended_by(setting, signal.SIGKILL)
    claims = list(setting.bench.store.root.rglob("claim-*"))
    for path in setting.bench.store.root.rglob("*"):
        os.utime(path, (time.time() + 3600,) * 2)
    return status == -signal.SIGKILL and bool(claims), 1


def two_launchers(setting: Setting) -> tuple[bool, int]:
    """Two launchers at once, each with workers of its own; or, half of the time, two workers for one job."""
    if setting.draw.random() < 0.5:
        one = setting.start(setting.first)
        setting.wait_for_step("first", setting.draw.randint(0, 1))
        statuses = [wait(pid) for pid in (setting.start(setting.first), one)]
        return worker.Exit.FAILED not in statuses, 0
    jobs = list(setting.jobs)
    launchers = [setting.bench.launcher(*jobs), setting.bench.launcher(*jobs)]
    statuses = [launcher.wait(timeout=120) for launcher in launchers]
    return statuses == [0, 0], 0


KINDS: dict[str, Fault] = {
    "kill -9": kill,
    "SIGTERM": stop,
    "full disk": full_disk,
    "truncated file": truncated,
    "flipped bit": flipped,
    "unreadable file": unreadable,
    "lost rename": lost_rename,
    "stolen claim": stolen_claim,
    "clock set back": clock_set_back,
    "two launchers": two_launchers,
}
CONCURRENT = ("stolen claim", "two launchers")
"""Kinds whose steps too many are duplicates; of the others they are lost work."""

PLANTS: dict[str, tuple[object, str, object]] = {
    "claims are not respected": (claim.Holder, "dead", lambda self, now: True),
    "checkpoints are not verified": (
        checkpoint.Checkpoints,
        "good",
        lambda self: iter([(each.step, each.path) for each in self._newest_first()]),
    ),
}
"""Bugs to plant: what is replaced, and by what."""


def try_fault(kind: str, number: int, seed: int) -> Trial:
    """One trial, in a directory of its own."""
    began, draw = time.monotonic(), random.Random(f"{seed} {kind} {number}")
    directory = Path(tempfile.mkdtemp(prefix="faults-"))
    directory.chmod(0o755)
    try:
        setting = Setting(directory, draw)
        struck, allowed = KINDS[kind](setting)
        setting.complete()
        lost, corrupt = verdict(setting)
        again = max(0, sum(setting.bench.computed().values()) - 2 * STEPS - allowed)
        duplicated = again if kind in CONCURRENT else 0
        lost += again - duplicated
        return Trial(kind, number, struck, lost, duplicated, corrupt, round(time.monotonic() - began, 3))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def verdict(setting: Setting) -> tuple[int, int]:
    """Jobs without a result, and jobs with another than the undisturbed one."""
    lost = corrupt = 0
    for job in setting.jobs:
        try:
            corrupt += setting.bench.result(job) != expected()[str(job.config["name"])]
        except (StoreError, OSError, AssertionError):
            lost += 1
    return lost, corrupt


def campaign(trials: int, seed: int, out: Path | None, plant: str | None, kinds: list[str]) -> list[Trial]:
    """Makes trials of each kind until `trials` have struck, but for those that `out` has. Returns all of them."""
    made = [Trial(**json.loads(line)) for line in out.read_text().splitlines()] if out and out.exists() else []
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(LIGHT)])
    with mock.patch.object(*PLANTS[plant]) if plant else nullcontext():
        for kind in kinds:
            known = {trial.number for trial in made if trial.kind == kind}
            number, struck = 0, sum(trial.struck for trial in made if trial.kind == kind)
            while struck < trials and number < 10 * trials + 10:
                if number not in known:
                    made.append(try_fault(kind, number, seed))
                    struck += made[-1].struck
                    if out:
                        with out.open("a") as file:
                            file.write(json.dumps(asdict(made[-1])) + "\n")
                number += 1
    return made


def table(made: list[Trial]) -> str:
    """The counts by kind."""
    lines = [f"{'kind':16} {'tried':>6} {'struck':>6} {'lost':>6} {'duplicated':>10} {'corrupt':>7}"]
    kinds = list(Counter(trial.kind for trial in made))
    for kind in [*kinds, "all"]:
        chosen = [trial for trial in made if kind in (trial.kind, "all")]
        hits = [trial for trial in chosen if trial.struck]
        sums = [sum(getattr(trial, name) for trial in hits) for name in ("lost", "duplicated", "corrupt")]
        lines.append(f"{kind:16} {len(chosen):6} {len(hits):6} {sums[0]:6} {sums[1]:10} {sums[2]:7}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100, help="of each kind, that struck")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="file of JSON lines, one a trial; goes on where it ends")
    parser.add_argument("--plant", choices=PLANTS, help="break the code on purpose")
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS))
    arguments = parser.parse_args()
    made = campaign(arguments.trials, arguments.seed, arguments.out, arguments.plant, arguments.kinds)
    print(table(made))
    for trial in made:
        if trial.struck and trial.bad:
            print(f"bad: {trial}")
    return int(any(trial.struck and trial.bad for trial in made))


if __name__ == "__main__":
    sys.exit(main())
