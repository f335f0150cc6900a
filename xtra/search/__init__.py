"""A batched tree search for learned models: `search` runs it, `SearchConfig` sets it up.

Names are resolved when first used, so that reading the configuration imports no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xtra.search.config import SearchConfig as SearchConfig
    from xtra.search.functions import FunctionModel as FunctionModel
    from xtra.search.graphed import GraphedSearch as GraphedSearch
    from xtra.search.noise import dirichlet_noise as dirichlet_noise
    from xtra.search.noise import gumbel_noise as gumbel_noise
    from xtra.search.simulate import search as search
    from xtra.search.tree import Tree as Tree
    from xtra.search.types import ModelOutput as ModelOutput
    from xtra.search.types import SearchModel as SearchModel
    from xtra.search.types import SearchResult as SearchResult

_HOME = {
    "FunctionModel": "functions",
    "GraphedSearch": "graphed",
    "ModelOutput": "types",
    "SearchConfig": "config",
    "SearchModel": "types",
    "SearchResult": "types",
    "Tree": "tree",
    "dirichlet_noise": "noise",
    "gumbel_noise": "noise",
    "search": "simulate",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
