"""CURL's constants for Atari 100k, each with its source.

Sources: [U] CURL's released Rainbow code (aravindsrinivas/curl_rainbow); [ours] where it says nothing, or where we part from it.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from xtra.agents.registry import Agent, LearningAgentConfig, LockStepConfig, refuse_own_actions
from xtra.config import Config
from xtra.envs.config import EnvironmentConfig
from xtra.protocol.games import Game
from xtra.replay.config import ReplayConfig

PUBLISHED_MIN_FRAME_SIZE = 25
"""Smaller frames leave nothing of the published encoder's second convolution."""

LIGHT_CONTRAST_GAMES = ("Pong", "Boxing", "PrivateEye", "Freeway")
"""Games in which the released code weighs the contrastive loss by 0.01 instead of 1."""


class CurlNetworkConfig(Config):
    """Encoder and heads. Defaults: the data-efficient Rainbow of van Hasselt et al. (2019)."""

    frame_stack: int = Field(4, ge=1)
    """Frames that make one observation. [U]: 4."""
    encoder: Literal["data_efficient", "small"] = "data_efficient"
    """Two 5x5 convolutions of stride 5 ([U]; 84 pixels become 64x3x3), or two 3x3 ones for games of about 10x10 pixels, which is
    not the published network."""
    hidden: int = Field(256, ge=1)
    """Hidden units of the value, advantage and contrastive heads. [U]: 256."""
    noise_scale: float = Field(0.1, ge=0.0)
    """Initial standard deviation of the noisy layers, before division by the root of their width. [U]: 0.1."""
    num_atoms: int = Field(51, ge=2)
    """Atoms of the distribution of returns. [U]: 51."""
    support: float = Field(10.0, gt=0.0)
    """The atoms lie evenly on [-support, support]. [U]: 10."""


class CurlActingConfig(LockStepConfig):
    """Acting. Exploration is the noise of the noisy layers alone."""

    num_envs: int = Field(1, ge=1)
    """Environments stepped together, each with noise of its own. [U]: 1."""
    evaluation_epsilon: float = Field(0.001, ge=0.0, le=1.0)
    """Share of random actions in evaluation, which is otherwise greedy and without noise. [U]: 0.001."""


class CurlTargetConfig(Config):
    """Targets: what the network is trained towards."""

    td_steps: int = Field(20, ge=1)
    """Rewards before the bootstrapped distribution. [U]: 20."""
    discount: float = Field(0.99, ge=0.0, le=1.0)
    """Discount per env step. [U]: 0.99."""
    target_update_interval: int = Field(2_000, ge=1)
    """Updates between copies to the target network. [U]: 2,000 env steps, at one update each."""
    clip_rewards: bool = True
    """Train on the sign of rewards. [U]: clipped to [-1, 1], the same for whole numbers. Scores are always raw."""


class CurlOptimizerConfig(Config):
    """Adam, and what the value loss sees."""

    batch_size: int = Field(32, ge=2)
    """Samples per update, which are also one another's contrasts. [U]: 32."""
    learning_rate: float = Field(1e-4, gt=0.0)
    """Learning rate of Adam. [U]: 1e-4."""
    adam_epsilon: float = Field(1.5e-4, gt=0.0)
    """Epsilon of Adam. [U]: 1.5e-4."""
    max_gradient_norm: float = Field(10.0, gt=0.0)
    """Global gradient-norm clip. [U]: 10."""
    augmentation: Literal["none", "shift"] = "none"
    """Frames that the value loss sees: as they are ([U]), or shifted at random, which makes `DER+shift` of DER ([ours])."""
    augmentation_shift: int = Field(4, ge=1)
    """Replicate padding in pixels before the random crop of that shift. DrQ: 4."""


class ContrastiveConfig(Config):
    """CURL's auxiliary loss: tell which of the batch's observations another view shows."""

    weight: Literal["released"] | float = "released"
    """Weight of the contrastive loss. [U]: 0.01 in Pong, Boxing, PrivateEye and Freeway, else 1. 0: data-efficient Rainbow
    (DER)."""
    in_priorities: bool = True
    """Whether the batch's contrastive loss is part of its samples' replay priorities. [U]: yes."""
    initialization: Literal["uniform", "normal"] = "uniform"
    """Initial distribution of the head's matrices: U(0, 1) ([U]), or N(0, 1 / inputs)."""
    size: int = Field(128, ge=1)
    """Outputs of the head. [U]: 128."""
    logit_scale: float = Field(0.1, gt=0.0)
    """Factor of the similarities. [U]: 0.1."""
    momentum: float = Field(0.999, ge=0.0, lt=1.0)
    """Share that the slowly moving encoder keeps of itself at each update. [U]: 0.999."""
    crop_margin: int = Field(4, ge=0)
    """Pixels that a view's first random crop takes off. [U]: 4 (84 to 80)."""
    padding: int = Field(4, ge=0)
    """Replicate padding on each side before its second one, back to the frame's size. [U]: 4 (80 to 88, then 84)."""

    @field_validator("weight")
    @classmethod
    def _not_negative(cls, weight: float | str) -> float | str:
        if isinstance(weight, float) and weight < 0:
            raise ValueError("must be `released` or at least 0")
        return weight

    @model_validator(mode="after")
    def _second_crop_fits(self) -> Self:
        if self.crop_margin > 2 * self.padding:
            raise ValueError(f"crop_margin {self.crop_margin} takes off more than padding {self.padding} on both sides puts back")
        return self

    def weight_in(self, game: str) -> float:
        """Returns the weight for one game."""
        if isinstance(self.weight, float):
            return self.weight
        return 0.01 if game.partition("@")[0] in LIGHT_CONTRAST_GAMES else 1.0


class CurlReplayConfig(ReplayConfig):
    """Prioritised replay with data-efficient Rainbow's constants."""

    capacity: int = Field(100_000, ge=1)
    """Transitions kept; the oldest go first. [U]: 100,000."""
    priority_exponent: float = Field(0.5, ge=0.0)
    """Alpha: 0 samples uniformly. [U]: 0.5."""
    min_transitions: int = Field(1_600, ge=1)
    """Updates begin when the replay holds this many transitions. [U]: 1,600."""


class CurlConfig(LearningAgentConfig):
    """CURL (Laskin et al., 2020) on data-efficient Rainbow (van Hasselt et al., 2019)."""

    name: Literal["curl"] = "curl"
    """Tells the agents apart."""
    network: CurlNetworkConfig = CurlNetworkConfig()
    """Network shapes."""
    acting: CurlActingConfig = CurlActingConfig()
    """Collecting and evaluating."""
    targets: CurlTargetConfig = CurlTargetConfig()
    """Training targets."""
    optimizer: CurlOptimizerConfig = CurlOptimizerConfig()
    """Optimisation."""
    contrastive: ContrastiveConfig = ContrastiveConfig()
    """The auxiliary loss."""
    replay: CurlReplayConfig = CurlReplayConfig()
    """Replay buffer."""

    @property
    def window(self) -> int:
        """Env steps after a transition that its targets look at."""
        return self.targets.td_steps

    def check_view(self, environment: EnvironmentConfig) -> None:
        """Raises ValueError for frames that are too small."""
        self.check_frame_size(environment.frame_size)

    def check_actions(self, game: Game) -> None:
        """Raises ValueError for a game with actions of its own."""
        refuse_own_actions(self.name, game)

    def check_frame_size(self, frame_size: int) -> None:
        """Raises ValueError, naming both settings, for square frames that its encoder or its crops leave nothing of."""
        if self.network.encoder == "data_efficient" and frame_size < PUBLISHED_MIN_FRAME_SIZE:
            raise ValueError(
                f"environment.frame_size is {frame_size}: agent.network.encoder data_efficient needs at least "
                f"{PUBLISHED_MIN_FRAME_SIZE}, small takes any"
            )
        if frame_size <= self.contrastive.crop_margin:
            raise ValueError(
                f"environment.frame_size is {frame_size}: agent.contrastive.crop_margin is {self.contrastive.crop_margin}, which "
                "leaves nothing of a frame"
            )


CURL = Agent(
    name="curl",
    config=CurlConfig,
    player="xtra.agents.curl.agent:make_player",
    learner="xtra.agents.curl.agent:CurlLearner",
    defaults={
        # Its own batch of 32 for each of four source games.
        "transfer.pretraining.batch_size": 128,
        # It has no dynamics.
        "transfer.start.components": ["representation", "prediction", "projection"],
    },
)
