"""Engines between two searches. Making one costs page faults and threads, so `search` takes one that fits and gives it back."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from xtra.search.engine import Engine

MOST_IDLE = 4
"""Engines kept at most: self-play, reanalysis and evaluation each have a shape of their own."""

_idle: OrderedDict[tuple[Hashable, int], Engine] = OrderedDict()
_lock = threading.RLock()  # the garbage collector may call `give_back` inside `take`


def take(key: Hashable, make: Callable[[], Engine]) -> Engine:
    """An idle engine that was given back under the same key, or a new one. Nobody else has it until it is given back."""
    with _lock:
        for found in list(_idle):
            if found[0] == key:
                return _idle.pop(found)
    return make()


def give_back(key: Hashable, engine: Engine) -> None:
    """Offers an engine for the next search; the one idle for longest is dropped if there are too many."""
    with _lock:
        _idle[key, id(engine)] = engine
        if len(_idle) > MOST_IDLE:
            _idle.popitem(last=False)
