"""Every engine of the benchmark by its name in the report. A peer that is not installed raises `Absent` with what to install."""

from __future__ import annotations

from collections.abc import Callable

from xtra.perf.lightzero import LightZeroLoop, LightZeroSearch
from xtra.perf.mctx import MctxSearcher
from xtra.perf.ours import XtraSearcher
from xtra.perf.searcher import Cell, Searcher

ENGINES: dict[str, Callable[[Cell], Searcher]] = {
    "xtra": lambda cell: XtraSearcher(cell, "puct"),
    "xtra_gumbel": lambda cell: XtraSearcher(cell, "gumbel"),
    "lightzero": LightZeroLoop,
    "lightzero_search": LightZeroSearch,
    "mctx_muzero": lambda cell: MctxSearcher(cell, "muzero"),
    "mctx_gumbel": lambda cell: MctxSearcher(cell, "gumbel"),
}
"""`lightzero` is a replica of its EfficientZero search loop around its own C++ tree, `lightzero_search` that loop itself."""
