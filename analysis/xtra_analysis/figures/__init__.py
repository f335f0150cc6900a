"""Figures from tidy frames. Each function returns a matplotlib Figure and draws nothing on screen."""

from xtra_analysis.figures.aggregates import aggregates
from xtra_analysis.figures.comparison import comparison, game_ratios, ladder
from xtra_analysis.figures.curves import learning_curves, sample_efficiency
from xtra_analysis.figures.profiles import profiles
from xtra_analysis.figures.published import published_bars
from xtra_analysis.figures.reach import reach
from xtra_analysis.figures.transfer import gradient_similarity, task_weights

__all__ = [
    "aggregates",
    "comparison",
    "game_ratios",
    "gradient_similarity",
    "ladder",
    "learning_curves",
    "profiles",
    "published_bars",
    "reach",
    "sample_efficiency",
    "task_weights",
]
