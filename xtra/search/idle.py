"""Engines between two searches. Making one costs page faults and threads, so `search` takes one that fits and gives it back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable

from xtra.search.engine import Engine

MOST_IDLE = 4
"""Engines kept at most: self-play, reanalysis and evaluation each have a shape of their own."""

_idle: list[tuple[Hashable, Engine]] = []  # longest idle first
_lock = threading.RLock()  # the garbage collector may call `give_back` inside `take`


def take(key: Hashable, make: Callable[[], Engine]) -> Engine:
    """An idle engine that was given back under the same key, or a new one. Nobody else has it until it is given back."""
    with _lock:
        for place, (found, engine) in enumerate(_idle):
            if found == key:
                del _idle[place]
                return engine
    return make()


def give_back(key: Hashable, engine: Engine) -> None:
    """Offers an engine for the next search; the one idle for longest is dropped if there are too many."""
    with _lock:
        _idle.append((key, engine))
        del _idle[:-MOST_IDLE]
