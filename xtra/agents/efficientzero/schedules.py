"""Learning rate and temperature as functions of the update number."""

from __future__ import annotations

from xtra.agents.efficientzero.config import ActingConfig, OptimizerConfig


def learning_rate(update: int, config: OptimizerConfig) -> float:
    """Linear warm-up from 0, then a factor of `decay_rate` every `decay_interval` updates."""
    if update < config.warmup_updates:
        return config.learning_rate * update / config.warmup_updates
    decays = (update - config.warmup_updates) // config.decay_interval
    return config.learning_rate * float(config.decay_rate**decays)


def temperature(updates: int, span: int, config: ActingConfig) -> float:
    """Of the visit counts in self-play: three phases, switched at shares of `span` updates."""
    phase = sum(updates >= share * span for share in config.temperature_switches)
    return config.temperatures[phase]
