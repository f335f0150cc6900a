"""Figures from tidy frames. Each function returns a matplotlib Figure and draws nothing on screen."""

from xtra_analysis.figures.aggregates import aggregates
from xtra_analysis.figures.curves import learning_curves, sample_efficiency

__all__ = ["aggregates", "learning_curves", "sample_efficiency"]
