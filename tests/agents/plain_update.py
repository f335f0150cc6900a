"""EfficientZero's update written a second time, plainly and from the papers, for the learners to be compared with.

Targets are made in plain_targets.py. Of our code only the network's own forward passes are used. Released, batch norm sees each
unroll step by itself; `episode_losses` shows it only what happened.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from xtra.agents.efficientzero.config import EfficientZeroConfig, NetworkConfig, OptimizerConfig
from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.rng import stream

from .plain_targets import NUM_ACTIONS, Memory, Place, Targets, expected_scalar, make_targets, two_hot


def unrolled_losses(network: EfficientZeroNetwork, targets: Targets, config: EfficientZeroConfig) -> dict[str, Tensor]:
    """Of each sample `[B]`: the four terms, summed over steps, and `value_error`. In the order in which the released code runs:
    step by step, an imagined latent before the real one."""
    steps, support = config.targets.num_unroll_steps, config.network.support
    past_end_too = config.targets.mask_past_end == "consistency"
    alive = targets.alive.float()
    latent = network.representation(targets.observations[0])
    state = None
    policy_logits, value_logits = network.prediction(latent)
    policy = -(targets.policies[:, 0] * policy_logits.log_softmax(-1)).sum(-1) * alive[:, 0]
    value = bins_loss(value_logits, targets.values[:, 0], support)
    error = (expected_scalar(value_logits.detach(), support) - targets.values[:, 0]).abs()
    prefix = consistency = torch.zeros(len(latent))
    for k in range(steps):
        if k % config.search.lstm_horizon == 0:
            state = network.zero_lstm_state(len(latent), latent.device)
        assert state is not None
        latent, state, prefix_logits = network.dynamics(latent, state, targets.actions[:, k])
        latent.register_hook(lambda gradient: gradient / 2)
        taken = torch.ones(len(latent)) if past_end_too else alive[:, k]
        prefix = prefix + bins_loss(prefix_logits, targets.value_prefixes[:, k], support) * taken
        policy_logits, value_logits = network.prediction(latent)
        policy = policy - (targets.policies[:, k + 1] * policy_logits.log_softmax(-1)).sum(-1) * alive[:, k + 1]
        value = value + bins_loss(value_logits, targets.values[:, k + 1], support) * taken
        if config.optimizer.consistency_weight:
            cosine = similarity(network, latent, targets.observations[k + 1])
            consistency = consistency - cosine * targets.observed[:, k].float()
    return {"value_prefix": prefix, "policy": policy, "value": value, "consistency": consistency, "value_error": error}


def losses_of(network: EfficientZeroNetwork, targets: Targets, config: EfficientZeroConfig) -> dict[str, Tensor]:
    """Of each sample `[B]`: the four terms, summed over steps, and `value_error`."""
    episode_only = config.optimizer.unroll_batch_norm == "episode"
    return episode_losses(network, targets, config) if episode_only else unrolled_losses(network, targets, config)


def episode_losses(network: EfficientZeroNetwork, targets: Targets, config: EfficientZeroConfig) -> dict[str, Tensor]:
    """The same losses where batch norm sees only what happened: a step of the model those samples whose episode still runs, a
    head all steps of all samples at once. A step of a sample is a pair (k, i)."""
    size, steps, support = len(targets.weights), config.targets.num_unroll_steps, config.network.support
    past_end_too = config.targets.mask_past_end == "consistency"
    taken = [(k, i) for k in range(steps) for i in range(size) if past_end_too or targets.alive[i, k]]
    latents = {(0, i): latent for i, latent in enumerate(network.representation(targets.observations[0]))}
    real = {}
    for k in range(steps):
        now = {(k + 1, i): (latents[k, i], targets.actions[i, k]) for step, i in taken if step == k}
        for place, latent in together(network.dynamics.transition, now).items():
            latent.register_hook(lambda gradient: gradient / 2)
            latents[place] = latent
    if config.optimizer.consistency_weight:
        for k in range(steps):
            seen = {(k + 1, i): (targets.observations[k + 1][i],) for i in range(size) if targets.observed[i, k]}
            with torch.no_grad():
                real |= together(network.representation, seen)
    heads = together(lambda x: torch.cat(network.prediction(x), dim=-1), {place: (latent,) for place, latent in latents.items()})
    features = together(network.dynamics.stem, {(k + 1, i): (latents[k + 1, i],) for k, i in taken})
    prefixes = together(network.dynamics.value_prefix, lstm_outputs(network, features, config.search.lstm_horizon))
    online = together(network.projection, {place: (latents[place],) for place in real})
    with torch.no_grad():
        projected = together(network.projection.projector, {place: (latent,) for place, latent in real.items()})
    terms: dict[str, list[Tensor]] = {
        name: [torch.zeros(())] * size for name in ("value_prefix", "policy", "value", "consistency")
    }
    for (k, i), logits in heads.items():
        policy_logits, value_logits = logits[:NUM_ACTIONS], logits[NUM_ACTIONS:]
        policy = -(targets.policies[i, k] * policy_logits.log_softmax(-1)).sum()
        terms["policy"][i] = terms["policy"][i] + policy * targets.alive[i, k]
        terms["value"][i] = terms["value"][i] + bins_loss(value_logits[None], targets.values[i, k, None], support)[0]
    for (k, i), logits in prefixes.items():
        loss = bins_loss(logits[None], targets.value_prefixes[i, k - 1, None], support)[0]
        terms["value_prefix"][i] = terms["value_prefix"][i] + loss
    for (k, i), projection in online.items():
        cosine = functional.cosine_similarity(projection, projected[k, i], dim=0, eps=1e-5)
        terms["consistency"][i] = terms["consistency"][i] - cosine
    first = torch.stack([heads[0, i][NUM_ACTIONS:] for i in range(size)]).detach()
    error = (expected_scalar(first, support) - targets.values[:, 0]).abs()
    return {name: torch.stack(values) for name, values in terms.items()} | {"value_error": error}


def together(
    module: Callable[..., Tensor], inputs: Mapping[tuple[int, int], tuple[Tensor, ...]]
) -> dict[tuple[int, int], Tensor]:
    """The outputs for all places as one batch; a single one goes twice, as batch norm needs two, and each counts half."""
    if not inputs:
        return {}
    if len(inputs) == 1:
        ((place, values),) = inputs.items()
        return {place: module(*(torch.stack([x, x]) for x in values)).mean(0)}
    outputs = module(*(torch.stack(column) for column in zip(*inputs.values(), strict=True)))
    return dict(zip(inputs, outputs, strict=True))


def lstm_outputs(
    network: EfficientZeroNetwork, features: Mapping[tuple[int, int], Tensor], horizon: int
) -> dict[tuple[int, int], tuple[Tensor]]:
    """The LSTM along each sample's steps, from zero every `horizon` steps; in the order of `features`."""
    outputs, states = {}, {}
    for (k, i), x in features.items():
        if (k - 1) % horizon == 0:
            states[i] = torch.zeros(2, 1, network.config.lstm_hidden)
        h, c = torch.lstm_cell(x[None], states[i].unbind(0), *network.dynamics.lstm.all_weights[0])
        outputs[k, i], states[i] = (h[0],), torch.stack([h, c])
    return outputs


def similarity(network: EfficientZeroNetwork, latent: Tensor, observation: Tensor) -> Tensor:
    """`[B]`: the cosine of what was imagined and of what was seen; the latter is a constant (SimSiam)."""
    online = functional.normalize(network.projection(latent), dim=-1, eps=1e-5)
    with torch.no_grad():
        seen = network.representation(observation)
        network.prediction(seen)  # only its batch norm matters
        real = functional.normalize(network.projection.projector(seen), dim=-1, eps=1e-5)
    return (online * real).sum(-1)


def bins_loss(logits: Tensor, scalars: Tensor, support: int) -> Tensor:
    """`[B]`: cross-entropy with the two-hot categories of scalars `[B]`."""
    wanted = torch.stack([two_hot(x, support) for x in scalars.tolist()])
    return -(wanted * logits.log_softmax(-1)).sum(-1)


def weighted_mean(losses: dict[str, Tensor], weights: Tensor, config: EfficientZeroConfig) -> Tensor:
    """`[]`: the loss of one task: its terms by their weights, its samples by theirs, over K."""
    c = config.optimizer
    terms = {"value_prefix": c.value_prefix_weight, "policy": c.policy_weight, "value": c.value_weight}
    terms["consistency"] = c.consistency_weight
    each = torch.stack([weight * losses[name] for name, weight in terms.items()]).sum(0)
    return torch.stack(list(weights * each)).sum() / len(weights) / config.targets.num_unroll_steps


def learning_rate(update: int, config: OptimizerConfig) -> float:
    """MuZero's schedule after a linear warm-up."""
    if update < config.warmup_updates:
        return config.learning_rate * update / config.warmup_updates
    return config.learning_rate * config.decay_rate ** ((update - config.warmup_updates) // config.decay_interval)


def clipped_gradients(network: nn.Module, loss: Tensor, most: float) -> tuple[dict[str, Tensor], float]:
    """The gradients by the parameters' names, shrunk to a global norm of `most`, and the norm before; what has no part in the
    loss has none, and stays as it is."""
    names, parameters = zip(*network.named_parameters(), strict=True)
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    norm = sum(float((g.double() ** 2).sum()) for g in gradients if g is not None) ** 0.5
    shrink = min(1.0, most / norm)
    return {name: g * shrink for name, g in zip(names, gradients, strict=True) if g is not None}, norm


class Sgd:
    """Gradients clipped by their global norm, L2 decay and momentum: by hand."""

    def __init__(self, network: nn.Module, config: EfficientZeroConfig) -> None:
        self.network, self.config = network, config.optimizer
        self.momentum = {name: torch.zeros_like(p) for name, p in network.named_parameters()}

    def step(self, loss: Tensor, update: int) -> float:
        """Returns the norm of the gradient before it was clipped."""
        gradients, norm = clipped_gradients(self.network, loss, self.config.max_gradient_norm)
        parameters = dict(self.network.named_parameters())
        with torch.no_grad():
            for name, gradient in gradients.items():
                decayed = gradient + self.config.weight_decay * parameters[name]
                self.momentum[name] = self.config.momentum * self.momentum[name] + decayed
                parameters[name] -= learning_rate(update, self.config) * self.momentum[name]
        return norm


class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2019, algorithm 2), of clipped gradients: by hand."""

    def __init__(self, network: nn.Module, config: EfficientZeroConfig) -> None:
        self.network, self.config = network, config.optimizer
        self.mean = {name: torch.zeros_like(p) for name, p in network.named_parameters()}
        self.square = {name: torch.zeros_like(p) for name, p in network.named_parameters()}
        self.steps = 0

    def step(self, loss: Tensor, update: int) -> float:
        """Returns the norm of the gradient before it was clipped."""
        gradients, norm = clipped_gradients(self.network, loss, self.config.max_gradient_norm)
        rate = learning_rate(update, self.config)
        self.steps += 1
        parameters = dict(self.network.named_parameters())
        with torch.no_grad():
            for name, gradient in gradients.items():
                parameters[name] -= rate * self.config.weight_decay * parameters[name]
                self.mean[name] = 0.9 * self.mean[name] + 0.1 * gradient
                self.square[name] = 0.999 * self.square[name] + 0.001 * gradient**2
                mean, square = self.mean[name] / (1 - 0.9**self.steps), self.square[name] / (1 - 0.999**self.steps)
                parameters[name] -= rate * mean / (square.sqrt() + 1e-8)
        return norm


class PlainEfficientZero:
    """The learner of one game, update by update. Networks made every `target_update_interval` updates are used one interval
    later."""

    def __init__(
        self, network: EfficientZeroNetwork, config: EfficientZeroConfig, action_ids: tuple[int, ...], seed: int
    ) -> None:
        self.network, self.config, self.action_ids, self.seed = network.train(), config, action_ids, seed
        self.optimizer = (AdamW if config.optimizer.method == "adam" else Sgd)(network, config)
        self.snapshots = [copy.deepcopy(network)]

    def beta(self, update: int, num_updates: int) -> float:
        start = self.config.replay.importance_exponent_start
        return start + (1 - start) * update / (num_updates - 1)

    def draw(self, memory: Memory, update: int, num_updates: int) -> tuple[list[Place], Targets]:
        size, beta = self.config.optimizer.batch_size, self.beta(update, num_updates)
        places = memory.draw(size, stream(self.seed, "replay", update), self.config, beta)
        delayed = copy.deepcopy(self.delayed(update))
        return places, make_targets(memory, places, delayed, self.config, self.action_ids, self.seed, update)

    def update(self, memory: Memory, update: int, num_updates: int) -> dict[str, float]:
        places, targets = self.draw(memory, update, num_updates)
        losses = losses_of(self.network, targets, self.config)
        loss = weighted_mean(losses, targets.weights, self.config)
        norm = self.optimizer.step(loss, update)
        memory.prioritize(places, losses["value_error"].tolist(), self.config)
        self.remember(update)
        names = {name: "value_error" if name == "value_error" else f"{name}_loss" for name in losses}
        means = {names[name]: float(term.detach().mean()) for name, term in losses.items()}
        return {
            "loss": loss.item(),
            "gradient_norm": norm,
            "learning_rate": learning_rate(update, self.config.optimizer),
            **means,
        }

    def delayed(self, update: int) -> EfficientZeroNetwork:
        return self.snapshots[max(0, update // self.config.targets.target_update_interval - 1)]

    def remember(self, update: int) -> None:
        if (update + 1) % self.config.targets.target_update_interval == 0:
            self.snapshots.append(copy.deepcopy(self.network))


def talking_network(config: NetworkConfig, frame_size: int, seed: int) -> EfficientZeroNetwork:
    """A network none of whose layers is zero, with batch-norm statistics and scales of its own."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = EfficientZeroNetwork(config, frame_size)
        for module in network.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=1.5 / module.in_features**0.5)
                nn.init.normal_(module.bias, std=0.5)
            elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.3)
                assert module.running_mean is not None
                assert module.running_var is not None
                nn.init.normal_(module.running_mean, std=0.3)
                nn.init.uniform_(module.running_var, 0.5, 1.5)
    # The learner's memory order, so that rounding differs less.
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
