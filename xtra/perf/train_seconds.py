"""Where time goes: seconds spent in some methods, each without those that it spends in another of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any


class Seconds:
    """Adds them up by part, of one thread. now: the clock; a device's waits for the device."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.own: dict[str, float] = defaultdict(float)
        self._inner = [0.0]
        """Of each timed call that is under way, the outermost first: seconds of the timed calls within it."""

    def of(self, part: str, owner: object, method: str) -> AbstractContextManager[None]:
        """While the context lasts, `owner.method` counts as `part`."""
        self.own[part] += 0.0
        return replaced(owner, method, self._timed(part, getattr(owner, method)))

    def _timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            begun = self._now()
            self._inner.append(0.0)
            result = function(*arguments)
            whole = self._now() - begun
            self.own[part] += whole - self._inner.pop()
            self._inner[-1] += whole
            return result

        return run


@contextmanager
def replaced(owner: object, method: str, function: Callable[..., Any]) -> Iterator[None]:
    """While the context lasts, this one object's method is `function`."""
    setattr(owner, method, function)
    try:
        yield
    finally:
        delattr(owner, method)
