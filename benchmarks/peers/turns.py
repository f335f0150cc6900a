"""Whole updates of EfficientZero learners, timed side by side: each has a process of its own on the same core, and they take
turns, so that all meet the same noise. README.md tells what is equal, and what was measured.

    python benchmarks/peers/turns.py play.npz -c ours python ours.py . -c LightZero /path/to/its/python lightzero_learner.py
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

LEARNING = {
    "targets": {"num_unroll_steps": 5, "td_steps": 5, "reanalyze_fraction": 1.0, "target_update_interval": 200},
    "optimizer": {"batch_size": 32, "learning_rate": 0.02, "warmup_updates": 0, "augmentation": "shift_intensity"},
    "search": {"num_simulations": 50, "discount": 0.997**4},
}
PAPER = {
    "channels": 64,
    "num_halvings": 4,
    "head_channels": 16,
    "head_hidden": 32,
    "lstm_hidden": 512,
    "support": 300,
    "projection_hidden": 1024,
    "projection_size": 1024,
    "predictor_hidden": 512,
}
SMALL = {
    "channels": 16,
    "num_halvings": 3,
    "head_channels": 8,
    "head_hidden": 32,
    "lstm_hidden": 64,
    "support": 15,
    "projection_hidden": 128,
    "projection_size": 128,
    "predictor_hidden": 64,
}
SIZES = {
    "paper": {"frame_size": 96, "agent": {"network": PAPER, **LEARNING}},
    "small64": {"frame_size": 64, "agent": {"network": SMALL, **LEARNING}},
}
"""Settings in our names (`xtra-bench list settings`), of which each contestant makes its own. `small64` has the widths of preset
`small` on frames of 64 pixels, since LightZero's encoder takes none of 48."""


class Refused(Exception):
    """Raised for a contestant that cannot take part; the message says why."""


@dataclass
class Result:
    """What one contestant said of itself, its seconds per update, one entry a round, and the most bytes by which its memory
    exceeded that before its first update."""

    prepared: dict[str, Any]
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    growth: int = 0


Results = dict[str, Result]
"""By the contestants' names, in the order of their turns."""


class Contestant:
    """The driver's end of one contestant's process, pinned to `core`. words: a checkout, and settings of its own."""

    def __init__(self, name: str, python: str, script: str, *words: str, core: int) -> None:
        self.name, self.settings = name, [word for word in words if "=" in word]
        checkout = next((word for word in words if "=" not in word), None)
        interpreter = shutil.which(python)
        if interpreter is None:
            raise Refused(f"{name}: no interpreter {python}; give the path of one, as .venv/bin/python")
        path = next((path for path in (HERE / script, Path(script)) if path.is_file()), None)
        if path is None:
            raise Refused(f"{name}: no script {script}; there are ours.py and lightzero_learner.py, or give the path of another")
        if checkout is not None and not Path(checkout, "xtra").is_dir():
            raise Refused(f"{name}: no package xtra in {checkout}; give the folder of a checkout whose modules are compiled")
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | ONE_THREAD
        if checkout is not None:
            environment["PYTHONPATH"] = str(Path(checkout).resolve())
        self._process = subprocess.Popen(
            [interpreter, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        os.sched_setaffinity(self._process.pid, {core})

    def ask(self, **request: Any) -> dict[str, Any]:
        """Sends one request and returns the answer. Raises Refused if it is an error, or if the process has ended."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended; reading finds that out, too
        line = self._process.stdout.readline()
        if not line:
            raise Refused(f"{self.name}: its process ended with status {self._process.wait()}; its last words stand above")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Refused(f"{self.name}: {answer['error']}")
        return answer

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()


def take_turns(
    contestants: Sequence[Contestant], prepare: dict[str, Any], rounds: int, updates: int, keep: Callable[[Results], None]
) -> Results:
    """Prepares all, then takes a sample of each in every round and hands what there is to `keep`."""
    results = {}
    for one in contestants:
        results[one.name] = Result(one.ask(do="prepare", settings=one.settings, **prepare))
        print(f"{one.name} is ready", file=sys.stderr)
    for number in range(rounds):
        for one in contestants:
            answer = one.ask(do="sample", updates=updates)
            results[one.name].cpu.append(answer["cpu"] / answer["updates"])
            results[one.name].wall.append(answer["wall"] / answer["updates"])
            results[one.name].growth = answer["growth"]
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        keep(results)
    return results


def spread(numbers: Sequence[float]) -> str:
    """Writes a median with the least and the greatest."""
    return f"{median(numbers):.3g} ({min(numbers):.3g} to {max(numbers):.3g})"


def table(results: Results) -> str:
    """Writes a Markdown table. A ratio is taken in each round: how many times the CPU seconds of the first contestant."""
    first = next(iter(results.values()))
    lines = [
        "| learner | CPU s per update | wall s per update | x the first's CPU | memory grown, MB | parameters | rows: "
        "representation, dynamics, prediction |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, result in results.items():
        ratios = [own / others for own, others in zip(result.cpu, first.cpu, strict=True)]
        rows = result.prepared["work"]["rows"]
        counts = ", ".join(f"{rows.get(part, 0):,}" for part in ("representation", "dynamics", "prediction"))
        parameters = result.prepared["about"]["parameters"]
        times = f"{spread(result.cpu)} | {spread(result.wall)} | {spread(ratios)}"
        lines.append(f"| {name} | {times} | {result.growth / 1e6:,.0f} | {parameters:,} | {counts} |")
    return "\n".join(lines)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("play", help="the .npz that record.py wrote")
    parser.add_argument(
        "-c",
        "--contestant",
        nargs="+",
        action="append",
        required=True,
        metavar="WORD",
        help="NAME PYTHON SCRIPT, and for ours.py the CHECKOUT whose package xtra it imports, where it is not the installed one, "
        "and settings such as precision=bfloat16",
    )
    parser.add_argument("--size", choices=SIZES, default="paper", help="of network and frames (paper)")
    parser.add_argument("--no-augmentation", action="store_true", help="for all")
    parser.add_argument("--rounds", type=int, default=9, help="samples of each contestant (9)")
    parser.add_argument("--updates", type=int, default=2, help="updates of a sample (2)")
    parser.add_argument(
        "--warm-up", type=int, default=1, help="updates before the first sample, besides the one that is counted (1)"
    )
    parser.add_argument("--core", type=int, default=min(os.sched_getaffinity(0)), help="that all run on, by turns")
    parser.add_argument("--json", type=Path, help="a file for all figures, written after every round")
    options = parser.parse_args(arguments)
    for words in options.contestant:
        if len(words) < 3 or sum("=" not in word for word in words[3:]) > 1:
            parser.error(f"--contestant takes NAME PYTHON SCRIPT [CHECKOUT] [SETTING=VALUE ...], not {' '.join(words)}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    size = json.loads(json.dumps(SIZES[options.size]))
    if options.no_augmentation:
        size["agent"]["optimizer"]["augmentation"] = "none"

    def keep(results: Results) -> None:
        if options.json:
            figures = {name: vars(result) for name, result in results.items()}
            options.json.write_text(json.dumps({"size": size, "updates": options.updates, "learners": figures}, indent=1) + "\n")

    prepare = {"play": str(Path(options.play).resolve()), "size": size, "warm_up": options.warm_up}
    try:
        if not Path(options.play).is_file():
            frames = f"--frame-size {size['frame_size']}"
            raise Refused(
                f"{options.play} does not exist; write it by: python benchmarks/peers/record.py {options.play} {frames}"
            )
        with ExitStack() as stack:
            contestants = [stack.enter_context(closing(Contestant(*words, core=options.core))) for words in options.contestant]
            results = take_turns(contestants, prepare, options.rounds, options.updates, keep)
    except Refused as refused:
        print(f"error: {refused}", file=sys.stderr)
        return 1
    print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
