"""The first minutes on a GPU: everything that is only known there, the most valuable first, in one call.

    python benchmarks/gpu/flight.py --budget 480 --out DIRECTORY      # then: python benchmarks/gpu/table.py DIRECTORY/flight.json

Each step has a limit and a log of its own; one that fails or takes too long does not stop the rest. After every step what is
known so far is written to `flight.json`, so that nothing is lost when the time is cut short. Needs Python 3.11 or later and torch
with CUDA; what else is missing is installed from wheels beside this file (README.md says how they are packed).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LEAST_SECONDS = 8
"""A step is not begun with less than this left."""

MEASURE = ["{python}", str(HERE / "measure.py")]
TESTS = ["{python}", "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "-q", "-p", "no:cacheprovider"]
SEARCH_TESTS = str(ROOT / "tests" / "search" / "test_cuda.py")


@dataclass(frozen=True)
class Step:
    """A command and the seconds it may take. {python}, {bench} (how xtra-bench is started) and {left} (seconds) are filled in."""

    name: str
    limit_s: int
    command: Sequence[str]
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What became of a step. result: what it printed as JSON, or None."""

    name: str
    status: str
    """`done`, `failed (exit status)`, `out of time` or `not begun`."""
    seconds: float = 0.0
    result: Any = None


def train(name: str, limit_s: int, sizes: Sizes, *options: str, environment: dict[str, str] | None = None) -> Step:
    """`perf train` of the preset with these options."""
    settings = ["--json", "--updates", str(sizes.updates), "--warm-up", str(sizes.warm_up)]
    return Step(
        name, limit_s, ["{bench}", "perf", "train", sizes.preset, *settings, *sizes.settings, *options], environment or {}
    )


@dataclass(frozen=True)
class Sizes:
    """How large the measurements are."""

    preset: str = "efficientzero"
    cross_preset: str = "xtra"
    updates: int = 30
    warm_up: int = 6
    roots: str = "4,1536,6144"
    settings: tuple[str, ...] = ()
    """Of every training."""


REHEARSAL = Sizes("tiny", "tiny", updates=2, warm_up=4, roots="4", settings=("--set", "agent.optimizer.method=sgd"))
"""Adam asks the device whether its rate is negative, and one that computes nothing says yes to everything."""
BFLOAT16 = ("--set", "agent.precision=bfloat16")
GUMBEL = ("--set", "agent.search.policy=gumbel", "--set", "agent.search.num_simulations=16")


def plan(sizes: Sizes) -> list[Step]:
    """The steps, the most valuable first."""
    crossed = replace(sizes, preset=sizes.cross_preset)
    return [
        Step("device", 40, [*MEASURE, "device"]),
        Step("doctor", 30, ["{bench}", "doctor", "--json"]),
        Step("exact", 60, [*MEASURE, "exact"]),
        Step("tests", 150, [*TESTS, "-m", "gpu", str(ROOT / "tests" / "search"), str(ROOT / "tests" / "agents")]),
        train("train", 90, sizes, *BFLOAT16),
        train("train_cross_tasks", 110, crossed, "--cross-tasks", "2", *BFLOAT16),
        train("train_gumbel_16", 70, sizes, *BFLOAT16, *GUMBEL),
        train("train_without_graphs", 90, sizes, *BFLOAT16, environment={"XTRA_CUDA_GRAPHS": "0"}),
        train("train_float32", 90, sizes),
        Step("profile", 90, [*MEASURE, "profile", "--preset", sizes.preset, "--roots", sizes.roots]),
        Step("search", 90, ["{bench}", *search_options(sizes)]),
        Step("memcheck", 120, ["compute-sanitizer", "--error-exitcode", "9", *TESTS, "-m", "gpu", "-k", "graph", SEARCH_TESTS]),
        Step("resume", 60, ["{bench}", "perf", "resume", "--kills", "3", "--kills-per-run", "1", "--json"]),
        Step("deterministic", 60, [*MEASURE, "deterministic", "--preset", sizes.preset]),
        Step("side_by_side", 240, [*MEASURE, "side-by-side", "--preset", sizes.preset, "--updates", str(sizes.updates)]),
        Step("atari", 36_000, [*MEASURE, "atari", "--seconds", "{left}", "--preset", sizes.preset]),
    ]


def search_options(sizes: Sizes) -> list[str]:
    """`perf search` for our engine alone; what it times on CUDA does not depend on the sizes given here."""
    small = ["--batch", "64", "--simulations", "50", "--rounds", "3", "--most-seconds", "0"]
    return ["perf", "search", "--json", "--engine", "xtra", *small, "--preset", sizes.preset]


class Flight:
    """Runs steps until the budget is spent."""

    def __init__(self, out: Path, budget_s: float, bench: Sequence[str], rehearsal: bool = False) -> None:
        self._out, self._deadline, self._bench = out, time.monotonic() + budget_s, list(bench)
        self._record: dict[str, Any] = {"begun": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "rehearsal": rehearsal}
        self.outcomes: list[Outcome] = []
        (out / "logs").mkdir(parents=True, exist_ok=True)

    def take(self, step: Step) -> Outcome:
        """Runs one step, or leaves it out for want of time, and writes down what is known so far."""
        left = self._deadline - time.monotonic()
        outcome = self._run(step, left) if left >= LEAST_SECONDS else Outcome(step.name, "not begun")
        self.outcomes.append(outcome)
        record = {**self._record, "steps": [asdict(each) for each in self.outcomes]}
        (self._out / "flight.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        return outcome

    def _run(self, step: Step, left: float) -> Outcome:
        values = {"{python}": [sys.executable], "{bench}": self._bench, "{left}": [str(int(left - LEAST_SECONDS))]}
        command = [argument for part in step.command for argument in values.get(part, [part])]
        began, stdout = time.monotonic(), self._out / "logs" / f"{step.name}.out"
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", **step.environment}
        with stdout.open("w") as out, stdout.with_suffix(".err").open("w") as err:
            try:
                # A group of its own: what it started ends with it.
                process = subprocess.Popen(command, stdout=out, stderr=err, env=environment, start_new_session=True)
            except OSError as error:
                err.write(f"{error}\n")
                return Outcome(step.name, "failed (not started)")
            status = wait(process, min(step.limit_s, left))
        return Outcome(step.name, status, round(time.monotonic() - began, 1), result_of(stdout.read_text(errors="replace")))


def wait(process: subprocess.Popen[Any], limit_s: float) -> str:
    """Lets the process end; after its limit asks it to, and five seconds later makes it."""
    try:
        status = process.wait(limit_s)
    except subprocess.TimeoutExpired:
        for number in (signal.SIGTERM, signal.SIGKILL):
            os.killpg(process.pid, number)
            try:
                process.wait(5)
                break
            except subprocess.TimeoutExpired:
                continue
        return "out of time"
    return "done" if status == 0 else f"failed ({status})"


def result_of(text: str) -> Any:
    """What a step printed as JSON: all of its output or else its last line that is JSON; None if there is neither."""
    for candidate in [text, *reversed(text.splitlines())]:
        try:
            return json.loads(candidate)
        except ValueError:
            continue
    return None


def install(wheels: Path, target: Path) -> None:
    """Puts the wheels into `target` and in front of everything else that Python finds."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile", "--target", target]
    subprocess.run([*command, *sorted(wheels.glob("*.whl"))], check=True)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(target), os.environ.get("PYTHONPATH")]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, required=True, metavar="SECONDS")
    parser.add_argument("--out", type=Path, required=True, metavar="DIRECTORY")
    parser.add_argument("--only", default="", metavar="STEP,STEP", help="only these steps, in the plan's order")
    parser.add_argument("--bench", default="", metavar="COMMAND", help="how xtra-bench is started, if not as a module")
    parser.add_argument("--rehearse", action="store_true", help="everything in small; the figures mean nothing")
    options = parser.parse_args()
    if (HERE / "wheels").is_dir():
        install(HERE / "wheels", options.out / "site")
    os.environ["FLIGHT_BENCH"], os.environ["FLIGHT_RESULTS"] = options.bench, str(options.out / "atari")  # for measure.py
    bench = options.bench.split() or [sys.executable, "-c", "from xtra.cli.main import main; main()"]
    flight, only = Flight(options.out, options.budget, bench, options.rehearse), set(filter(None, options.only.split(",")))
    steps = plan(REHEARSAL if options.rehearse else Sizes())
    if options.rehearse:  # on any machine, however slow
        steps = [replace(step, limit_s=4 * step.limit_s) for step in steps]
    if unknown := only - {step.name for step in steps}:
        parser.error(f"unknown steps {', '.join(sorted(unknown))}; known are {', '.join(step.name for step in steps)}")
    for step in steps:
        if not only or step.name in only:
            outcome = flight.take(step)
            print(f"{outcome.name:<22} {outcome.status:<14} {outcome.seconds:6.1f} s", flush=True)
    shutil.rmtree(options.out / "site", ignore_errors=True)


if __name__ == "__main__":
    main()
