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
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LEAST_SECONDS = 8
"""A step is not begun with less than this left."""

LOG_CHARACTERS = 2000
"""Of what a step said last, kept beside its outcome if it was not done."""

MEASURE = ["{python}", str(HERE / "measure.py")]
TESTS = ["{python}", "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "-q", "-p", "no:cacheprovider"]
BENCH = [sys.executable, "-c", "from xtra.cli.main import main; main()"]
SEARCH_TESTS = str(ROOT / "tests" / "search" / "test_cuda.py")
OTHER_TESTS = ("agents/test_copies.py", "agents/test_device_copies.py", "agents/test_devices.py", "perf/test_perf_search.py")
GPU_TESTS = [SEARCH_TESTS, *(str(ROOT / "tests" / name) for name in OTHER_TESTS)]
"""The files with tests marked `gpu`; to collect all others takes longer than to run these."""


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
    log: str = ""
    """The end of what it wrote to standard error, if it was not done."""


def train(name: str, limit_s: int, sizes: Sizes, *options: str, environment: dict[str, str] | None = None) -> Step:
    """`perf train` of the preset with these options."""
    command = ["{bench}", "perf", "train", sizes.preset, "--json", *lengths(sizes), *sizes.settings, *options]
    return Step(name, limit_s, command, environment or {})


@dataclass(frozen=True)
class Sizes:
    """How large the measurements are."""

    preset: str = "efficientzero"
    cross_preset: str = "xtra"
    updates: int = 30
    warm_up: int = 6
    transitions: int = 2000
    """In the replay before the first update."""
    roots: str = "4,1536,6144"
    settings: tuple[str, ...] = ()
    """Of every training."""


def lengths(sizes: Sizes) -> list[str]:
    """How long a training is measured, as options."""
    numbers = {"--updates": sizes.updates, "--warm-up": sizes.warm_up, "--transitions": sizes.transitions}
    return [str(part) for option in numbers.items() for part in option]


BFLOAT16 = ("--set", "agent.precision=bfloat16")
GUMBEL = ("--set", "agent.search.policy=gumbel", "--set", "agent.search.num_simulations=16")

PER_PERIOD = ("--set", "agent.targets.reanalysis=per_period", "--set", "agent.targets.batches_at_once=4")
PER_PERIOD += ("--set", "training.updates_per_env_step=1")  # of 4 environments: no more are drawn than are made between two rows


def plan(sizes: Sizes) -> list[Step]:
    """The steps, the most valuable first."""
    crossed = replace(sizes, preset=sizes.cross_preset)
    preset = ["--preset", sizes.preset]
    shared = [*preset, *lengths(sizes), *sizes.settings, *BFLOAT16]
    return [
        Step("device", 40, [*MEASURE, "device"]),
        Step("doctor", 40, ["{bench}", "doctor", "--json"]),
        Step("exact", 60, [*MEASURE, "exact"]),
        Step("tests", 150, [*TESTS, "-m", "gpu", *GPU_TESTS]),
        train("train", 90, sizes, *BFLOAT16),
        train("train_cross_tasks", 110, crossed, "--cross-tasks", "2", *BFLOAT16),
        train("train_per_period", 110, sizes, *BFLOAT16, *PER_PERIOD),
        train("train_gumbel_16", 70, sizes, *BFLOAT16, *GUMBEL),
        train("train_without_graphs", 90, sizes, *BFLOAT16, environment={"XTRA_CUDA_GRAPHS": "0"}),
        train("train_float32", 90, sizes),
        Step("profile", 90, [*MEASURE, "profile", *preset, "--roots", sizes.roots]),
        Step("search", 60, ["{bench}", "perf", "search", "--json", "--cuda-only", *preset]),
        Step("exact_nvrtc", 90, [*MEASURE, "exact", "--nvrtc"], {"XDG_CACHE_HOME": "{work}/cache"}),
        Step("memcheck", 120, ["compute-sanitizer", "--error-exitcode", "9", *TESTS, "-m", "gpu", "-k", "graph", SEARCH_TESTS]),
        Step("resume", 60, ["{bench}", "perf", "resume", "--kills", "3", "--kills-per-run", "1", "--json"]),
        Step("deterministic", 60, [*MEASURE, "deterministic", *preset]),
        Step("side_by_side", 240, [*MEASURE, "side-by-side", *shared]),
        Step("atari", 36_000, [*MEASURE, "atari", "--seconds", "{left}", *preset]),
    ]


def rehearsal() -> list[Step]:
    """The same steps in small, with the time that any machine needs, however slow, on a device that computes nothing.

    Adam asks the device whether its rate is negative, and such a device says yes to everything. What runs in processes of its
    own, where no agent acts at random (tests/fakegpu/rehearse.py), runs on the CPU.
    """
    on_cpu = {"CUDA_VISIBLE_DEVICES": ""}
    sizes = Sizes(
        "tiny", "tiny", updates=2, warm_up=4, transitions=100, roots="4", settings=("--set", "agent.optimizer.method=sgd")
    )
    changes: dict[str, Any] = {
        "exact": {"command": [*MEASURE, "exact", "--uncompared"]},
        "exact_nvrtc": {"command": [*MEASURE, "exact", "--nvrtc", "--uncompared"]},
        "tests": {
            "command": ["gpu and not arithmetic" if part == "gpu" else part for part in step_of("tests", plan(sizes)).command]
        },
        "resume": {"environment": on_cpu, "limit_s": 900},
        "atari": {"environment": on_cpu, "limit_s": 420},
    }
    steps = [replace(step, limit_s=6 * step.limit_s) for step in plan(sizes)]
    return [replace(step, **changes.get(step.name, {})) for step in steps]


def step_of(name: str, steps: Sequence[Step]) -> Step:
    """The step of that name."""
    return next(step for step in steps if step.name == name)


class Flight:
    """Runs steps until the budget is spent."""

    def __init__(
        self, out: Path, budget_s: float, bench: Sequence[str], rehearsal: bool = False, work: Path | None = None
    ) -> None:
        """out: where `flight.json` goes.  work: where all else goes, if not there."""
        self._out, self._work = out, (work or out).resolve()
        self._deadline, self._bench = time.monotonic() + budget_s, list(bench)
        self._record: dict[str, Any] = {"begun": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "rehearsal": rehearsal}
        self.outcomes: list[Outcome] = []
        for directory in (out, self._work / "logs"):
            directory.mkdir(parents=True, exist_ok=True)

    def take(self, step: Step) -> Outcome:
        """Runs one step, or leaves it out for want of time, and writes down what is known so far."""
        left = self._deadline - time.monotonic()
        outcome = self._run(step, left) if left >= LEAST_SECONDS else Outcome(step.name, "not begun")
        if outcome.status not in ("done", "not begun"):
            text = (self._work / "logs" / f"{step.name}.err").read_text(errors="replace")
            outcome = replace(outcome, log=text[-LOG_CHARACTERS:])
        self.outcomes.append(outcome)
        record = {**self._record, "steps": [asdict(each) for each in self.outcomes]}
        (self._out / "flight.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        return outcome

    def _run(self, step: Step, left: float) -> Outcome:
        seconds = int(min(step.limit_s, left) - LEAST_SECONDS)
        values = {"{python}": [sys.executable], "{bench}": self._bench, "{left}": [str(seconds)]}
        command = [argument for part in step.command for argument in values.get(part, [part])]
        began, stdout = time.monotonic(), self._work / "logs" / f"{step.name}.out"
        given = {name: value.replace("{work}", str(self._work)) for name, value in step.environment.items()}
        # Safe paths: what is imported is installed, and not the checkout, whose engines may not be compiled.
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1", **given}
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
    """What a step printed as JSON: a document that ends its output, or else its last line that is JSON, or else None."""
    lines = text.splitlines()
    documents = ["\n".join(lines[index:]) for index, line in enumerate(lines) if line.startswith(("{", "["))]
    for candidate in [*documents, *reversed(lines)]:
        try:
            return json.loads(candidate)
        except ValueError:
            continue
    return None


def install(wheels: Path, target: Path) -> None:
    """Puts the wheels into `target`, their modules in front of all that Python finds, CUDA's tools behind those of the image."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile", "--target", target]
    subprocess.run([*command, *sorted(wheels.glob("*.whl"))], check=True)
    target = target.resolve()
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(target), os.environ.get("PYTHONPATH")]))
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), *map(str, target.glob("nvidia/*/bin"))])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, required=True, metavar="SECONDS")
    parser.add_argument("--out", type=Path, required=True, metavar="DIRECTORY")
    parser.add_argument("--only", default="", metavar="STEP,STEP", help="only these steps, in the plan's order")
    parser.add_argument("--bench", default="", metavar="COMMAND", help="how xtra-bench is started, if not as a module")
    parser.add_argument("--work", type=Path, metavar="DIRECTORY", help="for packages, logs and runs; --out if not given")
    parser.add_argument("--rehearse", action="store_true", help="everything in small; the figures mean nothing")
    options = parser.parse_args()
    steps, only = rehearsal() if options.rehearse else plan(Sizes()), set(filter(None, options.only.split(",")))
    if unknown := only - {step.name for step in steps}:
        parser.error(f"unknown steps {', '.join(sorted(unknown))}; known are {', '.join(step.name for step in steps)}")
    work = (options.work or options.out).resolve()
    flight = Flight(options.out, options.budget, options.bench.split() or BENCH, options.rehearse, work)
    if (HERE / "wheels").is_dir():
        install(HERE / "wheels", work / "site")
    os.environ["FLIGHT_BENCH"], os.environ["FLIGHT_RESULTS"] = options.bench, str(work / "atari")  # for measure.py
    for step in steps:
        if not only or step.name in only:
            outcome = flight.take(step)
            print(f"{outcome.name:<22} {outcome.status:<14} {outcome.seconds:6.1f} s", flush=True)
    with tarfile.open(options.out / "logs.tar.gz", "w:gz") as archive:
        archive.add(work / "logs", "logs")


if __name__ == "__main__":
    main()
