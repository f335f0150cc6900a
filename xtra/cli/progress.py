"""The display of `run` while jobs run: an overall bar and a line per running job; plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from xtra.execute.local import END_STATES, LocalQueue, QueueState
from xtra.telemetry import Progress, read_progress

BAR_WIDTH = 28
PLAIN_SECONDS = 30.0
"""Seconds between two plain lines about a running job."""

MEANING = {
    QueueState.ELSEWHERE: "elsewhere: another process computes it",
    QueueState.BLOCKED: "blocked: a job it needs has failed or diverged",
    QueueState.LEFT: "left: it would not end within the budget, or a job it needs would not",
}
"""Explanations of the states that need one."""


class _Pace:
    """Estimates the seconds left from how fast a job has gone since it was first looked at (a resumed job starts half-way)."""

    def __init__(self) -> None:
        self._first: dict[str, tuple[int, float]] = {}

    def seconds_left(self, key: str, progress: Progress) -> float | None:
        now = time.monotonic()
        done, began = self._first.setdefault(key, (progress.done, now))
        if progress.done < done:
            self._first[key] = (progress.done, now)
        if progress.done <= done or now - began < 1.0:
            return None
        return (progress.total - progress.done) * (now - began) / (progress.done - done)


class LiveView:
    """A view for terminals. Use as a context, and call `update` at every tick."""

    def __init__(self, console: Console, labels: Mapping[str, str]) -> None:
        self._labels = labels
        self._pace = _Pace()
        self._began = time.monotonic()
        self._live = Live(console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def update(self, queue: LocalQueue) -> None:
        self._live.update(self._render(queue))

    def _render(self, queue: LocalQueue) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        over = sum(state in END_STATES for state in queue.states.values())
        bar = ProgressBar(len(queue.jobs), over, width=BAR_WIDTH)
        table.add_row("all jobs", bar, f"{over}/{len(queue.jobs)}{_troubles(queue)}", _clock(time.monotonic() - self._began))
        for key in (*queue.keys_in(QueueState.RUNNING), *queue.keys_in(QueueState.STARTING)):
            table.add_row(self._labels[key], *self._job_columns(key, read_progress(queue.store.work(key))))
        elsewhere = len(queue.keys_in(QueueState.ELSEWHERE))
        if elsewhere:
            table.add_row(f"{elsewhere} {MEANING[QueueState.ELSEWHERE]}")
        return table

    def _job_columns(self, key: str, progress: Progress | None) -> tuple[RenderableType, str, str]:
        if progress is None:
            return ProgressBar(None, width=BAR_WIDTH, pulse=True), "starting", ""
        left = self._pace.seconds_left(key, progress)
        return (
            ProgressBar(progress.total, progress.done, width=BAR_WIDTH),
            str(progress),
            "" if left is None else f"{_clock(left)} left",
        )


class PlainView:
    """A view for files and pipes: a line whenever a job changes its state, and now and then how far the running ones are."""

    def __init__(self, console: Console, labels: Mapping[str, str]) -> None:
        self._console = console
        self._labels = labels
        self._states: dict[str, QueueState] = {}
        self._told: dict[str, float] = {}

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, queue: LocalQueue) -> None:
        over = sum(state in END_STATES for state in queue.states.values())
        for key, state in queue.states.items():
            before = self._states.get(key, QueueState.WAITING if state not in END_STATES else state)
            if state is QueueState.STARTING:
                continue
            if state is not before:
                self._say(f"[{over}/{len(queue.jobs)}] {self._labels[key]}: {MEANING.get(state, state)}")
                self._told[key] = time.monotonic()
            self._states[key] = state
        for key in queue.keys_in(QueueState.RUNNING):
            progress = read_progress(queue.store.work(key))
            if progress is not None and time.monotonic() - self._told[key] > PLAIN_SECONDS:
                self._say(f"[{over}/{len(queue.jobs)}] {self._labels[key]}: {progress}")
                self._told[key] = time.monotonic()

    def _say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True)


def _troubles(queue: LocalQueue) -> str:
    counts = {state: len(queue.keys_in(state)) for state in (QueueState.FAILED, QueueState.DIVERGED, QueueState.BLOCKED)}
    return "".join(f", {count} {state}" for state, count in counts.items() if count)


def _clock(seconds: float) -> str:
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
