"""Every constant of EfficientZero, with its source.

Sources: [E] EfficientZero's released code, [V] EfficientZero V2's, [C] XTRA's released code, [P] the papers; where they differ,
docs/fidelity.md says what we took.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from xtra.agents.registry import Agent, LearningAgentConfig, LockStepConfig
from xtra.config import Config
from xtra.envs.config import EnvironmentConfig
from xtra.protocol.games import Game
from xtra.replay.config import ReplayConfig
from xtra.search.config import SearchConfig


class NetworkConfig(Config):
    """Shapes of the representation, dynamics, prediction and projection networks. Defaults: preset `efficientzero`."""

    frame_stack: int = Field(4, ge=1)
    """Frames that make one observation. [E]: 4."""
    channels: int = Field(64, ge=2, multiple_of=2)
    """Channels of the latent; the first encoder stage has half of them. [E]: 64."""
    num_halvings: int = Field(4, ge=0, le=4)
    """Times the encoder halves the frame: strided conv, strided block, pool, pool. [E]: 4 (96 to 6); 0 keeps a 10x10 game as it
    is."""
    blocks_per_stage: int = Field(1, ge=1)
    """Residual blocks per encoder stage. [E]: 1; XTRA's code [C]: 4."""
    latent_scaling: Literal["none", "min_max"] = "none"
    """What keeps latents in bounds as the model is unrolled: nothing ([E], [C]), or each latent scaled to [0, 1] (MuZero)."""
    action_space: Literal["game", "ale18", "declared"] = "ale18"
    """The actions that policy and dynamics tell apart: the game's own, in their order ([E]); ALE's 18 for every game ([C]), as
    whatever is transferred needs it; or as many as the game's family declares, which for Atari are the 18. On Breakout
    `scalar_plane` gives RIGHT and LEFT 0.50 and 0.75 by the first, 0.17 and 0.22 by the second."""
    action_encoding: Literal["scalar_plane", "one_hot_planes"] = "scalar_plane"
    """How dynamics sees an action: one plane of its index / the number of actions ([E], [C]), or a plane for each action, of
    which one is set (MuZero). Among ALE's 18 the former tells RIGHT (3) from LEFT (4) by 0.06, which costs small networks
    dear."""
    head_channels: int = Field(16, ge=1)
    """Channels of the 1x1 convolutions before the value, policy and value-prefix heads. [E]: 16."""
    head_hidden: int = Field(32, ge=1)
    """Hidden units of those heads. [E]: 32."""
    lstm_hidden: int = Field(512, ge=1)
    """Units of the value-prefix LSTM. [E]: 512."""
    support: int = Field(300, ge=1)
    """Values and value prefixes are categorical over the integers -support..support after the scalar transform. [E]: 300."""
    projection_hidden: int = Field(1024, ge=1)
    """Hidden units of the projector of the consistency loss. [E]: 1024."""
    projection_size: int = Field(1024, ge=1)
    """Outputs of the projector and the predictor. [E]: 1024."""
    predictor_hidden: int = Field(512, ge=1)
    """Hidden units of the predictor. [E]: 512."""
    batch_norm_momentum: float = Field(0.1, gt=0.0, le=1.0)
    """PyTorch's momentum of running statistics. [E]: 0.1."""


class ActingConfig(LockStepConfig):
    """Self-play."""

    added_later = (("gumbel_action", "winner"), ("evaluation_action", "greedy"))

    num_envs: int = Field(4, ge=1)
    """Environments stepped together: N env steps, then the updates that these are due, `training.updates_per_env_step` for each.
    [E]: 4; [C]: 8."""
    network_update_interval: int = Field(100, ge=1)
    """Self-play acts with a copy of the network this many updates old at most. [E]: 100."""
    random_until_training: Literal["from_scratch", "always", "never"] = "from_scratch"
    """Act uniformly at random until updates begin. [E]: yes; a pretrained network acts from the first step on ([C])."""
    temperatures: tuple[float, float, float] = (1.0, 0.5, 0.25)
    """Visit-count temperatures of the three phases of training. [E]: 1, 0.5, 0.25."""
    temperature_switches: tuple[float, float] = (0.5, 0.75)
    """Shares of the span below at which the temperature drops. [E]: 0.5, 0.75."""
    temperature_span: Literal["env_steps", "updates"] = "env_steps"
    """What those shares are of: the updates that the env steps are worth ([E]: 100k), or all updates ([C]: 120k)."""
    gumbel_action: Literal["winner", "policy"] = "winner"
    """What self-play takes from a search with Gumbel roots: the winner of sequential halving (Danihelka et al., 2022), or a draw
    from the improved policy, which is also what the network's policy is trained towards; errors of a young model sway it less."""
    evaluation_action: Literal["greedy", "policy"] = "greedy"
    """What evaluation takes from a search without noise: the most visited action, or the winner of sequential halving ([E]);
    or a draw from its policy (visit counts, or the improved policy of Gumbel roots), which never stays stuck where it errs."""


class TargetConfig(Config):
    """Targets: what the network is trained towards."""

    num_unroll_steps: int = Field(5, ge=1)
    """Dynamics steps per sample. [E]: 5."""
    td_steps: int = Field(5, ge=1)
    """Rewards before the bootstrapped value. [E]: 5."""
    td_steps_decay: int = Field(30_000, ge=1)
    """Off-policy correction: one step less per this many transitions of age, at least 1. [E]: 30,000."""
    value_source: Literal["network", "search"] = "network"
    """Bootstrap from the target network's value ([E] default) or from its search's root value (the paper's description)."""
    value_target: Literal["n_step", "mixed"] = "n_step"
    """What values are trained towards: n-step returns ([E]); or, from update `mixed_start` on and for all but the newest
    transitions, the value that reanalysis finds for the state itself (Wang et al., 2024, "mixed value target")."""
    mixed_start: int = Field(30_000, ge=0)
    """Update from which on targets are mixed. [V]: 30,000."""
    mixed_recent: int = Field(5_000, ge=0)
    """Transitions, counted back from the newest, that keep n-step returns: the policy that played them is still the agent's. [V]:
    5,000."""
    reanalyze_fraction: float = Field(1.0, ge=0.0, le=1.0)
    """Share of a batch whose policy targets are searched anew with the target network. [E]: 0.99; [C]: 1.0."""
    reanalysis: Literal["each_draw", "per_period"] = "each_draw"
    """When policies and bootstrap values of a position are computed: at every draw, root noise anew ([E]), or at most once per
    target network, which saves most searches of short games. Memory of the latter: 92 bytes a transition with 18 actions,
    of which 76 lie where the network is."""
    batches_at_once: int = Field(1, ge=1)
    """Updates whose batches are drawn and reanalysed together, in larger searches: as many as are made between two rows of env
    steps at most (`acting.num_envs` x `training.updates_per_env_step`), so that only priorities are older, by one update less
    than this. Multi-task pretraining draws one at a time. [E]: actors prepare batches ahead, as many as their speed makes it."""
    target_update_interval: int = Field(200, ge=1)
    """The target network is a snapshot taken every this many updates and used one interval late. [E]: 200."""
    mask_past_end: Literal["all", "consistency"] = "all"
    """Which losses stop at the end of an episode: all ([E]), or consistency alone ([C])."""
    clip_rewards: bool = True
    """Train on the sign of rewards. [E]: yes. Scores are always raw."""

    @model_serializer(mode="wrap")
    def _serialize(self, fields_of: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leaves out what came later and is not in use, so that jobs from before keep their keys."""
        fields: dict[str, Any] = fields_of(self)
        unused = [] if self.value_target == "mixed" else ["value_target", "mixed_start", "mixed_recent"]
        unused += [] if self.batches_at_once > 1 else ["batches_at_once"]
        return {name: value for name, value in fields.items() if name not in unused}

    @model_validator(mode="after")
    def _mixed_targets_are_searched(self) -> Self:
        if self.value_target == "mixed" and (self.reanalyze_fraction < 1.0 or self.reanalysis != "each_draw"):
            raise ValueError(
                f"targets.value_target is mixed, which needs every position searched: reanalyze_fraction is "
                f"{self.reanalyze_fraction} and must be 1, reanalysis is {self.reanalysis} and must be each_draw"
            )
        return self


class OptimizerConfig(Config):
    """SGD and its schedule, and how the loss is put together."""

    added_later = (("average_decay", 0.0),)

    batch_size: int = Field(256, ge=2)
    """Samples per update; batch norm needs two. [E]: 256."""
    method: Literal["sgd", "adam"] = "sgd"
    """SGD with momentum ([E], [C]), or AdamW, which small networks learn sparse rewards with in far fewer updates."""
    learning_rate: float = Field(0.2, gt=0.0)
    """Peak learning rate. [E]: 0.2 (of SGD)."""
    warmup_updates: int = Field(1_000, ge=0)
    """Updates of linear warm-up from 0. [E]: 1,000."""
    decay_rate: float = Field(0.1, gt=0.0, le=1.0)
    """Factor of the learning rate at each decay. [E]: 0.1."""
    decay_interval: int = Field(100_000, ge=1)
    """Updates between decays, counted after warm-up. [E]: 100,000."""
    momentum: float = Field(0.9, ge=0.0, lt=1.0)
    """SGD momentum. [E]: 0.9."""
    weight_decay: float = Field(1e-4, ge=0.0)
    """L2 weight decay on every parameter. [E]: 1e-4."""
    average_decay: float = Field(0.0, ge=0.0, lt=1.0)
    """Decay, per update, of a moving average of the weights, which acts, makes targets and is what training ends with; 0 for the
    weights themselves ([E]). Of teachers, too; other pretraining never averages."""
    max_gradient_norm: float = Field(5.0, gt=0.0)
    """Global gradient-norm clip. [E]: 5."""
    value_prefix_weight: float = Field(1.0, ge=0.0)
    """Loss weight of the value prefix. [E]: 1."""
    policy_weight: float = Field(1.0, ge=0.0)
    """Loss weight of the policy. [E]: 1."""
    value_weight: float = Field(0.25, ge=0.0)
    """Loss weight of the value. [E]: 0.25."""
    consistency_weight: float = Field(2.0, ge=0.0)
    """Loss weight of the self-supervised consistency; 0 switches it off. [E]: 2."""
    unroll_batch_norm: Literal["per_step", "episode"] = "per_step"
    """What batch norm sees in training: each unroll step by itself, past an episode's end too ([E]); or only what happened, the
    heads all steps together, as acting does, which normalizes by one running mean. Games of few steps are lost without the
    latter."""
    augmentation: Literal["shift_intensity", "none"] = "shift_intensity"
    """Random shift by 4 pixels, then intensity. [E]: yes."""
    augmentation_shift: int = Field(4, ge=0)
    """Replicate padding in pixels before the random crop. [E]: 4."""
    augmentation_intensity: float = Field(0.05, ge=0.0)
    """Scale of the intensity noise 1 + s * clip(N(0, 1), -2, 2). [E]: 0.05."""


class EfficientZeroConfig(LearningAgentConfig):
    """EfficientZero (Ye et al., 2021): MuZero with value prefixes, self-supervised consistency and off-policy correction."""

    name: Literal["efficientzero"] = "efficientzero"
    """Tells the agents apart."""
    network: NetworkConfig = NetworkConfig()
    """Network shapes."""
    search: SearchConfig = SearchConfig()
    """The tree search, in self-play, reanalysis and evaluation."""
    acting: ActingConfig = ActingConfig()
    """Self-play."""
    targets: TargetConfig = TargetConfig()
    """Training targets."""
    optimizer: OptimizerConfig = OptimizerConfig()
    """Optimisation and loss weights."""
    replay: ReplayConfig = ReplayConfig()
    """Replay buffer."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of convolutions and linear layers, in updates and in search; weights, batch norm, losses and, in updates, the
    LSTM stay in float32. bfloat16 is for GPUs with tensor cores, where `float32` means TF32 (10 bits of mantissa) in convolutions
    and the LSTM, and, with large networks, for processors that compute in it (`xtra-bench doctor` tells); on others it is many
    times slower. [E], [C]: mixed precision (torch amp)."""

    @property
    def window(self) -> int:
        """Env steps after a transition that its targets look at: the unrolled ones, and the bootstrap after them."""
        return self.targets.num_unroll_steps + self.targets.td_steps

    def check_view(self, environment: EnvironmentConfig) -> None:
        """Raises ValueError for gray frames: the network takes three channels."""
        check_rgb(self.name, environment)

    def check_actions(self, game: Game) -> None:
        """Raises ValueError for ALE's action space and a game with actions of its own."""
        if self.network.action_space == "ale18" and not game.speaks_ale:
            raise ValueError(
                f"{game.name} has {len(game.action_ids)} actions of its own, not ALE's: set agent.network.action_space to "
                "declared"
            )


def check_rgb(agent: str, environment: EnvironmentConfig) -> None:
    """Raises ValueError for another color than rgb."""
    if environment.color != "rgb":
        raise ValueError(f"environment.color is {environment.color}; agent {agent} sees rgb")


EFFICIENTZERO = Agent(
    name="efficientzero",
    config=EfficientZeroConfig,
    player="xtra.agents.efficientzero.agent:make_player",
    learner="xtra.agents.efficientzero.agent:EfficientZeroLearner",
)
