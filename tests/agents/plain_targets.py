"""What an update of EfficientZero learns towards, made a second time, plainly and from the papers: draws, targets, observations.

Sources: MuZero (Schrittwieser et al., 2020, appendices F and G), EfficientZero (Ye et al., 2021), prioritised replay (Schaul et
al., 2016). Loops over samples and steps instead of arrays; of our code only the network's own forward passes, the tree search (it
has oracles of its own) and the names of the random streams are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.replay.buffer import ReplayBuffer
from xtra.rng import derive_seed, stream
from xtra.search import dirichlet_noise, gumbel_noise, search

NUM_ACTIONS = 18

Stream = tuple[Any, ...]
"""A seed and the names of a random stream."""


@dataclass
class Moment:
    """One env step of one environment. reward: as the game gave it. last: nothing follows in its episode but what is seen
    `after` it."""

    frame: NDArray[np.uint8]
    action: int
    reward: float
    last: bool
    policy: NDArray[np.float32]
    after: NDArray[np.uint8]
    priority: float = 1.0


@dataclass
class Memory:
    """All moments of N environments, by environment; none is ever forgotten. `window`: steps that a target looks ahead."""

    window: int
    moments: list[list[Moment]] = field(default_factory=list)

    def start(self, row: int, env: int) -> int:
        """First row of the episode that `row` is in."""
        return next((r + 1 for r in range(row - 1, -1, -1) if self.moments[env][r].last), 0)

    def end(self, row: int, env: int) -> int:
        """Last row of the episode that `row` is in; the newest one, if it still runs."""
        rows = len(self.moments[env])
        return next((r for r in range(row, rows) if self.moments[env][r].last), rows - 1)

    def is_ready(self, row: int, env: int) -> bool:
        """Whether everything that a target looks at is known."""
        return self.moments[env][self.end(row, env)].last or row + self.window < len(self.moments[env])

    def frame(self, row: int, env: int, ahead: int) -> NDArray[np.uint8]:
        """The frame `ahead` (or back) of `row`; beyond the episode's ends its first frame, or what was seen after its last action
        (while it still runs, the newest frame)."""
        end = self.moments[env][self.end(row, env)]
        if row + ahead > self.end(row, env) and end.last:
            return end.after
        return self.moments[env][min(max(row + ahead, self.start(row, env)), self.end(row, env))].frame

    def draw(self, size: int, rng: np.random.Generator, config: EfficientZeroConfig, beta: float) -> list[Place]:
        """Proportional prioritisation: P(i) = p_i^alpha / sum, weights (N P(i))^-beta over their maximum."""
        rows, envs = len(self.moments[0]), len(self.moments)
        places = [(row, env) for row in range(rows) for env in range(envs)]
        masses = np.array(
            [self.moments[e][r].priority ** config.replay.priority_exponent if self.is_ready(r, e) else 0.0 for r, e in places]
        )
        chances = masses / masses.sum()
        drawn = [int(np.searchsorted(np.cumsum(chances), share, side="right")) for share in rng.random(size)]
        weights = np.array([(np.count_nonzero(masses) * chances[i]) ** -beta for i in drawn])
        return [Place(*places[i], w) for i, w in zip(drawn, weights / weights.max(), strict=True)]

    def prioritize(self, places: Sequence[Place], errors: Sequence[float], config: EfficientZeroConfig) -> None:
        for place, error in zip(places, errors, strict=True):
            self.moments[place.env][place.row].priority = error + config.replay.priority_epsilon

    def priorities(self) -> NDArray[np.float64]:
        """`[rows, N]`."""
        return np.array([[m.priority for m in moments] for moments in self.moments]).T


@dataclass(frozen=True)
class Place:
    """A sampled transition and its importance weight."""

    row: int
    env: int
    weight: float


@dataclass
class Targets:
    """What an update learns from, of B samples. observations: K + 1 of `[B, C, H, W]`. alive: `[B, K + 1]`. observed: `[B, K]`,
    what was seen after action k is known."""

    observations: list[Tensor]
    actions: Tensor
    value_prefixes: Tensor
    values: Tensor
    policies: Tensor
    alive: Tensor
    observed: Tensor
    weights: Tensor


def h(x: Tensor) -> Tensor:
    """The scalar transform of MuZero's appendix F."""
    return torch.sign(x) * (torch.sqrt(torch.abs(x) + 1) - 1) + 0.001 * x


def h_inverse(y: Tensor) -> Tensor:
    """Its inverse, as the appendix states it."""
    y = y.double()
    return torch.sign(y) * (((torch.sqrt(1 + 4 * 0.001 * (torch.abs(y) + 1 + 0.001)) - 1) / (2 * 0.001)) ** 2 - 1)


def two_hot(value: float, support: int) -> Tensor:
    """`[2 support + 1]`: h(value) between its two neighbouring integers."""
    y = min(max(float(h(torch.tensor(value, dtype=torch.float64))), -support), support)
    low = int(np.floor(y))
    out = torch.zeros(2 * support + 1)
    out[low + support] = 1 - (y - low)
    if y > low:
        out[low + 1 + support] = y - low
    return out


def expected_scalar(logits: Tensor, support: int) -> Tensor:
    """`[B]` of logits `[B, bins]`."""
    return h_inverse(logits.softmax(-1).double() @ torch.arange(-support, support + 1).double())


def augmented(frames: Tensor, config: EfficientZeroConfig, generator: torch.Generator) -> Tensor:
    """Runs of frames `[B, L, C, H, W]` in [0, 1]: padded by replication, cropped, brightened; one draw per sample."""
    if config.optimizer.augmentation == "none":
        return frames
    shift, size, out = config.optimizer.augmentation_shift, frames.shape[-1], torch.empty_like(frames)
    corners = torch.randint(-shift, shift + 1, (2, len(frames), 1), generator=generator)[..., 0] + shift
    noise = torch.randn((len(frames), 1, 1, 1), generator=generator).clamp(-2, 2)
    for i, run in enumerate(frames):
        padded = functional.pad(run, [shift] * 4, mode="replicate")
        row, column = int(corners[0, i]), int(corners[1, i])
        crop = padded[:, :, row : row + size, column : column + size]
        out[i] = crop * (1 + config.optimizer.augmentation_intensity * noise[i])
    return out


def observations(
    memory: Memory, places: Sequence[Place], config: EfficientZeroConfig, generator: torch.Generator
) -> list[Tensor]:
    """The sampled observation under one augmentation, and the K that followed under another."""
    stack, steps = config.network.frame_stack, config.targets.num_unroll_steps
    runs = [[memory.frame(p.row, p.env, i) for i in range(1 - stack, steps + 1)] for p in places]
    frames = torch.from_numpy(np.array(runs)).permute(0, 1, 4, 2, 3) / 255
    first = augmented(frames[:, :stack], config, generator)
    rest = augmented(frames[:, 1:], config, generator)
    return [first.flatten(1, 2)] + [rest[:, k : k + stack].flatten(1, 2) for k in range(steps)]


def stack_at(memory: Memory, row: int, env: int, ahead: int, size: int) -> Tensor:
    """`[C, H, W]`: the observation `ahead` of `row`, as it was."""
    frames = np.array([memory.frame(row, env, ahead - i) for i in range(size - 1, -1, -1)])
    return (torch.from_numpy(frames).permute(0, 3, 1, 2) / 255).flatten(0, 1)


def clipped(moment: Moment, config: EfficientZeroConfig) -> float:
    return float(np.sign(moment.reward)) if config.targets.clip_rewards else moment.reward


def value_prefixes(memory: Memory, place: Place, config: EfficientZeroConfig) -> list[float]:
    """Undiscounted sums of the rewards since the LSTM was last reset; past the end they stay."""
    out: list[float] = []
    for k in range(config.targets.num_unroll_steps):
        row = place.row + k
        reward = clipped(memory.moments[place.env][row], config) if row <= memory.end(place.row, place.env) else 0.0
        out.append(reward + (out[-1] if k % config.search.lstm_horizon else 0.0))
    return out


def n_step_value(memory: Memory, place: Place, k: int, n: int, bootstrap: float, config: EfficientZeroConfig) -> float:
    """z_k: n discounted rewards and the discounted value after them; 0 past the end, and nothing from beyond it."""
    end, discount = memory.end(place.row, place.env), config.search.discount
    row = place.row + k
    if row > end:
        return 0.0
    rewards = [clipped(memory.moments[place.env][r], config) for r in range(row, min(row + n, end + 1))]
    after = bootstrap if row + n <= end else 0.0
    return sum(discount**i * reward for i, reward in enumerate(rewards)) + discount**n * after


@torch.no_grad()
def make_targets(
    memory: Memory,
    places: Sequence[Place],
    delayed: EfficientZeroNetwork,
    config: EfficientZeroConfig,
    action_ids: tuple[int, ...],
    seed: int,
    update: int,
    augmentation: Stream | None = None,
) -> Targets:
    """Targets of the online game: bootstrapped by the delayed network, whose search replaces some of the stored policies.

    augmentation: the stream of the images, if it is not the online game's.
    """
    steps, stack, size = config.targets.num_unroll_steps, config.network.frame_stack, len(places)
    delayed.eval()
    values, policies = np.zeros((size, steps + 1)), np.zeros((size, steps + 1, NUM_ACTIONS), np.float32)
    for i, p in enumerate(places):
        age = (len(memory.moments[0]) - 1 - p.row) * len(memory.moments)
        n = min(max(config.targets.td_steps - age // config.targets.td_steps_decay, 1), config.targets.td_steps)
        for k in range(steps + 1):
            if p.row + k <= memory.end(p.row, p.env):
                policies[i, k] = memory.moments[p.env][p.row + k].policy
                observation = stack_at(memory, p.row, p.env, k + n, stack)
                logits = delayed.prediction(delayed.representation(observation[None]))[1]
                bootstrap = float(expected_scalar(logits, config.network.support))
                values[i, k] = n_step_value(memory, p, k, n, bootstrap, config)
    for (i, k), policy in searched_policies(memory, places, delayed, config, action_ids, seed, update).items():
        policies[i, k] = policy
    padding, augmentation = (seed, "padding-actions", update), augmentation or (seed, "augment", update)
    return assembled(memory, places, values, policies, config, action_ids, padding, augmentation)


def searched_policies(
    memory: Memory,
    places: Sequence[Place],
    delayed: EfficientZeroNetwork,
    config: EfficientZeroConfig,
    action_ids: tuple[int, ...],
    seed: int,
    update: int,
) -> dict[tuple[int, int], NDArray[np.float32]]:
    """By sample and step: the policy that a search with the delayed network finds, of the first share of the batch."""
    steps = config.targets.num_unroll_steps + 1
    among = [(i, k) for i in range(round(config.targets.reanalyze_fraction * len(places))) for k in range(steps)]
    if not among:
        return {}
    rng = stream(seed, "search", "reanalyze", update)
    valid = torch.zeros(len(among), NUM_ACTIONS, dtype=torch.bool)
    valid[:, list(action_ids)] = True
    seeds = torch.from_numpy(rng.integers(2**63, size=len(among), dtype=np.int64))
    gumbel = config.search.policy == "gumbel"
    noise = gumbel_noise(rng, valid) if gumbel else dirichlet_noise(rng, valid, config.search.dirichlet_alpha)
    out = {}
    for j, (i, k) in enumerate(among):
        p = places[i]
        if p.row + k <= memory.end(p.row, p.env):
            root = stack_at(memory, p.row, p.env, k, config.network.frame_stack)[None]
            one = slice(j, j + 1)
            result = search(delayed, root, config.search, valid_actions=valid[one], seeds=seeds[one], noise=noise[one])
            out[i, k] = result.action_weights[0].numpy()
    return out


def assembled(
    memory: Memory,
    places: Sequence[Place],
    values: NDArray[Any],
    policies: NDArray[np.float32],
    config: EfficientZeroConfig,
    action_ids: tuple[int, ...],
    padding: Stream,
    augmentation: Stream,
) -> Targets:
    """Targets with what happened. padding, augmentation: the streams of the actions past the end, and of the images."""
    steps = config.targets.num_unroll_steps
    actions = stream(*padding).choice(np.array(action_ids), (len(places), steps))
    alive = np.array([[p.row + k <= memory.end(p.row, p.env) for k in range(steps + 1)] for p in places])
    for i, p in enumerate(places):
        for k in range(steps):
            if alive[i, k]:
                actions[i, k] = memory.moments[p.env][p.row + k].action
    generator = torch.Generator().manual_seed(derive_seed(*augmentation) % 2**63)
    return Targets(
        observations=observations(memory, places, config, generator),
        actions=torch.from_numpy(actions),
        value_prefixes=torch.tensor([value_prefixes(memory, p, config) for p in places], dtype=torch.float64),
        values=torch.from_numpy(values),
        policies=torch.from_numpy(policies),
        alive=torch.from_numpy(alive),
        observed=torch.tensor([[is_observed(memory, p, k) for k in range(steps)] for p in places]),
        weights=torch.tensor([p.weight for p in places], dtype=torch.float32),
    )


def is_observed(memory: Memory, place: Place, k: int) -> bool:
    """Whether it is known what was seen after the action k steps on: if there was one, unless it is the newest of all."""
    row = place.row + k
    return row <= memory.end(place.row, place.env) and (
        memory.moments[place.env][row].last or row + 1 < len(memory.moments[place.env])
    )


def joined(parts: Sequence[Targets]) -> Targets:
    """The samples of several tasks one after another."""
    names = ("actions", "value_prefixes", "values", "policies", "alive", "observed", "weights")
    images = [torch.cat(step) for step in zip(*(part.observations for part in parts), strict=True)]
    return Targets(images, *(torch.cat([getattr(part, name) for part in parts]) for name in names))


def fill(replay: ReplayBuffer, memory: Memory, num_rows: int, action_ids: tuple[int, ...], seed: int) -> None:
    """The same random play in both: short episodes, and one per environment that still runs."""
    rng = np.random.default_rng(seed)
    envs = replay.num_envs
    memory.moments = [[] for _ in range(envs)]
    for row in range(num_rows):
        frames = rng.integers(256, size=(envs, *replay.frame_shape), dtype=np.uint8)
        actions, rewards = rng.choice(action_ids, envs), rng.choice([-2.0, 0.0, 1.0, 5.0], envs).astype(np.float32)
        policies = rng.dirichlet(np.ones(NUM_ACTIONS), envs).astype(np.float32)
        last = np.array([row % (4 + env) == 3 and row < num_rows - 6 for env in range(envs)])
        after = np.random.default_rng([seed, row]).integers(256, size=frames.shape, dtype=np.uint8)
        replay.append(frames, actions, rewards, last, policies, np.zeros(envs, np.float32), after)
        for env in range(envs):
            memory.moments[env].append(
                Moment(frames[env], int(actions[env]), float(rewards[env]), bool(last[env]), policies[env], after[env])
            )
