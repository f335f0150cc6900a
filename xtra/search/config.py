"""The tree search's settings; MuZero's names."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, Literal

from pydantic import Field, model_validator

from xtra.config import Config


class SearchConfig(Config):
    """EfficientZero's search.

    Defaults are EfficientZero's, but for two. Where its released code departs from its own definitions (`min_max`, `root_value`)
    the default is the correct form, and `released` what the code does. Other alternatives are named after where they come from.
    """

    num_simulations: int = Field(50, ge=1, le=10_000)
    """Simulations per search, each one network inference per root. EfficientZero: 50 everywhere."""
    policy: Literal["puct", "gumbel"] = "puct"
    """How the root chooses: pUCT with Dirichlet noise (EfficientZero), or Gumbel sequential halving (Danihelka et al., 2022)."""
    discount: float = Field(0.997**4, gt=0.0, le=1.0)
    """Discount per env step, for the search and the value targets alike. EfficientZero: 0.997^4 (4 frames per step)."""
    pb_c_init: float = Field(1.25, ge=0.0)
    """pUCT exploration constant. MuZero: 1.25."""
    pb_c_base: float = Field(19_652.0, gt=0.0)
    """pUCT exploration base. MuZero: 19652."""
    value_delta_max: float = Field(0.01, gt=0.0)
    """Soft min-max: the least span by which Q values are divided. EfficientZero: 0.01."""
    lstm_horizon: int = Field(5, ge=1, le=2**31 - 1)
    """The value prefix and its LSTM state are reset every this many plies. EfficientZero: 5."""
    dirichlet_alpha: float = Field(0.3, gt=0.0)
    """Concentration of the root's exploration noise. EfficientZero: 0.3."""
    root_exploration_fraction: float = Field(0.25, ge=0.0, le=1.0)
    """Share of noise in the root's prior, in self-play and reanalysis; evaluation adds none. EfficientZero: 0.25."""
    min_max: Literal["exact", "released", "per_node"] = "exact"
    """Span of Q normalization: exact over the tree; EfficientZero's released (prefix of the previously popped node); mctx's."""
    root_value: Literal["mean", "released"] = "mean"
    """A root's value: the mean of its own value and of its simulations' returns, as at every other node, or of the returns alone
    (EfficientZero's released code)."""
    exploration_visits: Literal["children", "node"] = "children"
    """Visits under the exploration root: the children's (EfficientZero) or the node's own count (MuZero's pseudocode, mctx)."""
    unvisited_q: Literal["mean_q", "min"] = "mean_q"
    """Q of an unvisited child: EfficientZero's running mean-Q, or the minimum (0 after normalization)."""
    max_considered_actions: int = Field(16, ge=1, le=2**31 - 1)
    """Gumbel: actions considered at the root. Danihelka et al.: 16."""
    gumbel_value_scale: float = Field(0.1, gt=0.0)
    """Gumbel: c_scale of the completed-Q transform. Danihelka et al.: 0.1 on Atari."""
    gumbel_min_span: float = Field(1e-8, ge=1e-30)
    """Gumbel: the least span by which completed Q values are divided when they are rescaled to [0, 1]. mctx: 1e-8. A larger one
    keeps differences far below a reward, which are noise in a young network, from becoming a policy (docs/learning_atari.md)."""
    gumbel_visit_offset: float = Field(50.0, gt=0.0)
    """Gumbel: c_visit of the completed-Q transform. Danihelka et al.: 50."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_names(cls, settings: Any) -> Any:
        """Names the nearest setting, which pydantic does not; this class is used from Python too."""
        unknown = [name for name in settings if name not in cls.model_fields] if isinstance(settings, dict) else []
        if unknown:
            close = get_close_matches(unknown[0], cls.model_fields, n=1)
            remedy = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(cls.model_fields)}"
            raise ValueError(f"unknown setting {unknown[0]!r}; {remedy}")
        return settings
