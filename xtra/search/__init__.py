"""A batched tree search for learned models: `search` runs it, `SearchConfig` sets it up.

Names are resolved when first used, so that reading the configuration imports no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xtra.search.config import SearchConfig as SearchConfig
    from xtra.search.exploration import dirichlet_noise as dirichlet_noise
    from xtra.search.exploration import gumbel_noise as gumbel_noise
    from xtra.search.model import FunctionModel as FunctionModel
    from xtra.search.model import ModelOutput as ModelOutput
    from xtra.search.model import SearchModel as SearchModel
    from xtra.search.model import SearchResult as SearchResult
    from xtra.search.simulate import GraphedSearch as GraphedSearch
    from xtra.search.simulate import search as search
    from xtra.search.tree import Tree as Tree

_HOME = {
    "FunctionModel": "model",
    "GraphedSearch": "simulate",
    "ModelOutput": "model",
    "SearchConfig": "config",
    "SearchModel": "model",
    "SearchResult": "model",
    "Tree": "tree",
    "dirichlet_noise": "exploration",
    "gumbel_noise": "exploration",
    "search": "simulate",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
