"""Behaviour cloning: EfficientZero's representation and policy head, trained by cross-entropy, played without search."""

from __future__ import annotations

from typing import Literal

from xtra.agents.efficientzero.config import NetworkConfig, OptimizerConfig
from xtra.config import Config


class CloningConfig(Config):
    """It is pretrained and evaluated, never trained online: a cloned network is finetuned by EfficientZero."""

    name: Literal["cloning"] = "cloning"
    """Tells the agents apart."""
    network: NetworkConfig = NetworkConfig()
    """EfficientZero's network, so that what is cloned can be finetuned; dynamics and projection stay as initialised."""
    optimizer: OptimizerConfig = OptimizerConfig()
    """Optimiser, schedule and augmentation; loss weights are unused."""
