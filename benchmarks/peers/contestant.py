"""The process of one contestant: reads requests from `turns.py`, a line of JSON each, and answers them in the same way.

Imported by scripts that may run in another interpreter than ours, so it needs the standard library and torch alone.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol


class Updates(Protocol):
    """A learner with a filled replay."""

    parts: Mapping[str, str]
    """Class names of the network's modules, and the part whose rows their calls are counted as."""

    def update(self) -> Mapping[str, float]:
        """Makes one update, from drawing the batch to the new priorities. Returns its losses."""
        ...

    def about(self) -> dict[str, Any]:
        """Returns what is told beside the figures: versions, the number of parameters, transitions."""
        ...


def serve(make: Callable[[dict[str, Any]], Updates]) -> None:
    """Answers `prepare` (make the learner of the request's `play` and `size`, and warm up) and `sample` (make and time updates)
    until the input ends. Whatever else is printed goes to the standard error."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    learner: Updates | None = None
    at_first = 0
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "prepare":
                learner = make(request)
                at_first = forget_peak()
                answer = prepare(learner, request["warm_up"])
            else:
                assert learner is not None
                answer = sample(learner, request["updates"]) | {"growth": peak_bytes() - at_first}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(answer) + "\n")
        replies.flush()


def prepare(learner: Updates, warm_up: int) -> dict[str, Any]:
    """Makes one update whose network calls are counted, and `warm_up` others."""
    work = count_rows(learner)
    for _ in range(warm_up):
        learner.update()
    return {"about": learner.about(), "work": work}


def sample(learner: Updates, updates: int) -> dict[str, Any]:
    """Times so many updates, by the wall and on the processor. Raises ValueError for a loss that is not finite."""
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(updates):
        losses = learner.update()
    seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    if not all(abs(loss) < float("inf") for loss in losses.values()):
        raise ValueError(f"a loss is not finite: {losses}")
    return {**seconds, "updates": updates}


def forget_peak() -> int:
    """Has the system measure the peak of this process's memory from now on (Linux). Returns what it has now, in bytes."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    return peak_bytes()


def peak_bytes() -> int:
    """Returns the most memory that this process has had since `forget_peak`."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


def count_rows(learner: Updates) -> dict[str, dict[str, int]]:
    """Makes one update and counts, for each part of the network, its calls and the rows that went through them; counts nothing
    where no part is named."""
    if not learner.parts:
        learner.update()
        return {"calls": {}, "rows": {}}
    from torch.nn.modules.module import register_module_forward_hook

    calls: Counter[str] = Counter()
    rows: Counter[str] = Counter()

    def count(module: Any, inputs: tuple[Any, ...], output: Any) -> None:
        part = learner.parts.get(type(module).__name__)
        if part is not None:
            calls[part] += 1
            rows[part] += len(inputs[0])

    handle = register_module_forward_hook(count)
    learner.update()
    handle.remove()
    return {"calls": dict(calls), "rows": dict(rows)}


def load_play(path: str, frame_size: int) -> dict[str, Any]:
    """Loads what `record.py` wrote. Raises ValueError if its frames have another size."""
    import numpy as np

    play = dict(np.load(path))
    if play["frames"].shape[1:] != (frame_size, frame_size, 3):
        size = play["frames"].shape[1]
        raise ValueError(f"{path} holds frames of {size} pixels, the size asked for has {frame_size}: record it again")
    return play
