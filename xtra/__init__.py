"""Benchmarks and ablations of cross-task transfer in model-based reinforcement learning.

    import xtra

    plan = xtra.plan("catch_transfer", seeds=[0], only=["XTRA"])  # what would run: jobs and cells
    run = xtra.run("catch_transfer", seeds=[0], only=["XTRA"])    # run it: rows and a report
    player = xtra.load("results", "XTRA/Catch/0")                 # the agent that it trained
    actions = player.act(frames)                                  # frames: [N, frame_stack, H, W, C] uint8

Each name is imported when it is first used, so that `import xtra` costs nothing, and planning no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xtra.api.agents import LoadError
    from xtra.api.player import SearchStatistics, TrainedPlayer, load
    from xtra.api.suites import Run, games, plan, run
    from xtra.suite.diagnostics.errors import SuiteError

    __version__: str

_MODULES = {
    "LoadError": "xtra.api.agents",
    "TrainedPlayer": "xtra.api.player",
    "SearchStatistics": "xtra.api.player",
    "Run": "xtra.api.suites",
    "SuiteError": "xtra.suite.diagnostics.errors",
    "games": "xtra.api.suites",
    "load": "xtra.api.player",
    "plan": "xtra.api.suites",
    "run": "xtra.api.suites",
}

__all__ = [
    "LoadError",
    "Run",
    "SearchStatistics",
    "SuiteError",
    "TrainedPlayer",
    "__version__",
    "games",
    "load",
    "plan",
    "run",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("xtra-bench")
    elif name in _MODULES:
        value = getattr(import_module(_MODULES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
