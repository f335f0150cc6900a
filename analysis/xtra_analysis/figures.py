"""Figures from tidy frames. Each function returns a matplotlib Figure and draws nothing on screen."""

from __future__ import annotations

from xtra_analysis.aggregates import plot_aggregates as aggregates
from xtra_analysis.comparison import plot_ablations as ablations
from xtra_analysis.comparison import plot_comparison as comparison
from xtra_analysis.cross_tasks import plot_gradient_similarity as gradient_similarity
from xtra_analysis.cross_tasks import plot_task_weights as task_weights
from xtra_analysis.games import plot_game_ratios as game_ratios
from xtra_analysis.learning_curves import plot_efficiency as sample_efficiency
from xtra_analysis.learning_curves import plot_learning_curves as learning_curves
from xtra_analysis.profiles import plot_profiles as profiles
from xtra_analysis.published import plot_published as published
from xtra_analysis.time_to_threshold import plot_time_to_threshold as time_to_threshold

__all__ = [
    "ablations",
    "aggregates",
    "comparison",
    "game_ratios",
    "gradient_similarity",
    "learning_curves",
    "profiles",
    "published",
    "sample_efficiency",
    "task_weights",
    "time_to_threshold",
]
