"""Prioritised replay's settings."""

from __future__ import annotations

from pydantic import Field

from xtra.config import Config


class ReplayConfig(Config):
    """Prioritised experience replay (Schaul et al., 2016) as EfficientZero uses it."""

    capacity: int = Field(1_000_000, ge=1)
    """Transitions kept. The oldest go first, one of each environment at a time, so a trajectory may lose its beginning.
    EfficientZero: 1e6, so Atari 100k never drops one."""
    priority_exponent: float = Field(0.6, ge=0.0)
    """Alpha: 0 samples uniformly. EfficientZero: 0.6."""
    importance_exponent_start: float = Field(0.4, ge=0.0, le=1.0)
    """Beta at the first update; grows linearly to 1 at the last one. EfficientZero: 0.4."""
    priority_epsilon: float = Field(1e-6, gt=0.0)
    """Added to every priority. EfficientZero: 1e-6."""
    min_transitions: int = Field(2_000, ge=1)
    """Updates begin when the replay holds this many transitions. EfficientZero: 2,000."""
    device_frame_memory_gb: float = Field(4.0, ge=0.0)
    """GPU memory for raw frames, in GB: a replay that needs no more is kept, gathered and augmented on the GPU, if there is one.
    Atari 100k takes 2.8. Never changes results."""
    frame_memory_gb: float = Field(4.0, ge=0.0)
    """Host memory for raw frames, in GB; a replay that would need more keeps its frames compressed (lossless). Never changes
    results."""

    def importance_exponent(self, update: int, num_updates: int) -> float:
        """Beta at an update: linear from its start to 1 at the last one."""
        progress = min(1.0, update / max(1, num_updates - 1))
        return self.importance_exponent_start + (1.0 - self.importance_exponent_start) * progress
