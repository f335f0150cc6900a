"""EfficientZero's loss: the model unrolled K steps along the actions taken, each step compared with its targets.

Terms per sample, summed over steps (Ye et al., 2021): value prefix (K), policy (K + 1), value (K + 1), consistency (K). The
gradient is scaled by 1/K as a whole and by 1/2 at each step through the dynamics (MuZero, appendix G).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from xtra.agents.efficientzero.batch import TensorBatch
from xtra.agents.efficientzero.batch_norm import JoinedSteps
from xtra.agents.efficientzero.config import EfficientZeroConfig
from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.agents.efficientzero.support import to_categorical, to_scalar


@dataclass(frozen=True)
class Losses:
    """The four terms of each sample, `[B]`, unweighted; `value_errors` `[B]`: |predicted - target| at the first step, for the
    priorities.

    `step_losses` returns them of each sample and unroll step instead: `[B, K]`, policy and value `[B, K + 1]`.
    """

    value_prefix: Tensor
    policy: Tensor
    value: Tensor
    consistency: Tensor
    value_errors: Tensor

    def means(self) -> Tensor:
        """Returns each field's plain mean over the batch, `[5]`."""
        terms = (self.value_prefix, self.policy, self.value, self.consistency, self.value_errors)
        return torch.stack([term.detach().mean() for term in terms])


@dataclass(frozen=True)
class Masks:
    """The steps that count, 1 or 0. after: `[B, K]`, an action was taken. policy, value: `[B, K + 1]`. consistency: `[B, K]`,
    what was seen after the action is known.

    The state after the last action is trained too: its value is 0, which is how the search learns that nothing follows an end,
    and its latent is drawn to that of the last thing seen.
    """

    after: Tensor
    policy: Tensor
    value: Tensor
    consistency: Tensor

    @staticmethod
    def of(alive: Tensor, observed: Tensor, mask_past_end: str) -> Masks:
        """Makes the masks from alive `[B, K + 1]` and observed `[B, K]`, see `TensorBatch`.

        XTRA's released code (`consistency`) trains all other terms past the end as well.
        """
        inside = alive.float()
        after = inside[:, :-1]
        value = torch.cat([torch.ones_like(after[:, :1]), after], dim=1)
        if mask_past_end == "consistency":
            after, value = torch.ones_like(after), torch.ones_like(value)
        # Past the end policy targets are all zero, so this mask changes nothing there; it states the intent.
        return Masks(after, inside, value, observed.float())


def unroll_losses(network: EfficientZeroNetwork, batch: TensorBatch, config: EfficientZeroConfig) -> Losses:
    """Computes the four terms of one batch. The network must be in training mode: batch norm sees this batch."""
    # Under autocast weights, gradients, batch norm and losses stay in float32.
    with torch.autocast(batch.observation.device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
        losses = step_losses(network, batch, config)
    summed = {term: getattr(losses, term).sum(1) for term in ("value_prefix", "policy", "value", "consistency")}
    return Losses(**summed, value_errors=losses.value_errors)


def step_losses(network: EfficientZeroNetwork, batch: TensorBatch, config: EfficientZeroConfig) -> Losses:
    """Computes the terms of every unroll step by itself."""
    support = config.network.support
    masks = Masks.of(batch.alive, batch.observed, config.targets.mask_past_end)
    modules = UnrolledModules(config.optimizer.unroll_batch_norm == "episode")
    latents = unroll(network, batch, masks, modules)
    real_latents = None
    if config.optimizer.consistency_weight > 0:
        real_latents = represent_next(network, batch, masks, modules)
    predictions = predict(network, latents, real_latents, masks, modules)
    policy_logits, value_logits = predictions[..., : network.num_actions], predictions[..., network.num_actions :]
    prefix_logits = unroll_value_prefixes(network, latents[1:], masks, modules, config.search.lstm_horizon)
    consistency = torch.zeros_like(masks.consistency)
    if real_latents is not None:
        consistency = consistency_loss(network, latents[1:], real_latents, masks, modules)
    modules.joined.update_running_statistics()
    return Losses(
        value_prefix=scalar_loss(prefix_logits, batch.value_prefixes, support) * masks.after,
        policy=cross_entropy(policy_logits, batch.policies) * masks.policy,
        value=scalar_loss(value_logits, batch.values, support) * masks.value,
        consistency=consistency,
        value_errors=(to_scalar(value_logits[:, 0].detach(), support) - batch.values[:, 0]).abs(),
    )


@dataclass(frozen=True)
class UnrolledModules:
    """Applies modules along the unroll, in one of two modes, which differ in what batch norm takes its statistics over.

    With `episode_only` these are the steps within an episode alone. The dynamics and the representation are applied step by step,
    to the samples whose episode has that step; heads are applied once, to such steps of all samples and unroll steps together.

    Without it, as in the released code, batch norm normalizes each unroll step by that step's statistics over all samples, those
    past their episode's end among them. Where episodes are long this is harmless, but in a game of 9 steps much of what it is
    normalized by never happened.
    """

    episode_only: bool
    joined: JoinedSteps = field(default_factory=JoinedSteps)

    def apply_step(self, module: Callable[..., Tensor], mask: Tensor, *inputs: Tensor) -> Tensor:
        """Applies the module to inputs `[B, ...]` of one unroll step. With `episode_only` it is applied only to the samples that
        are set in `mask` `[B]`, and the outputs of the others are 0."""
        if not self.episode_only:
            return module(*inputs)
        rows = mask.nonzero().squeeze(1)
        if len(rows) == len(mask):
            return module(*inputs)
        if len(rows) == 1:
            # Batch norm refuses a batch of one: it goes twice, and each counts half, in the gradient too.
            outputs = module(*(x[rows].expand(2, *x.shape[1:]) for x in inputs)).mean(0, keepdim=True)
        else:
            outputs = module(*(x[rows] for x in inputs))
        # In the outputs' order of memory: channels last, which convolutions are twice as fast in.
        whole = outputs.new_empty_strided((len(mask), *outputs.shape[1:]), outputs.stride()).zero_()
        return whole.index_copy_(0, rows, outputs)

    def apply_steps(
        self, module: Callable[[Tensor], Tensor], steps: Sequence[Tensor], mask: Tensor, *, real: bool = False
    ) -> Tensor:
        """Applies the module to K inputs `[B, ...]`, those of the unroll's last K steps. Returns `[B, K, X]`.

        With `episode_only` it is applied once to all inputs that are set in `mask` `[B, K]`; the outputs of the others are 0.
        Without it every input counts and each step is normalized by itself. The running statistics then move step by step in the
        order of EfficientZero's released code: root, imagined step 1, real step 1, imagined step 2, real step 2 and so on. real:
        whether the inputs come from observations, not from the model.
        """
        if not self.episode_only:
            return self.joined.apply(module, steps, [2 * step + real for step in range(-len(steps), 0)])
        outputs = self.apply_step(module, mask.t().flatten(), torch.cat(list(steps)))
        return outputs.view(len(steps), len(mask), -1).transpose(0, 1)


def unroll(network: EfficientZeroNetwork, batch: TensorBatch, masks: Masks, modules: UnrolledModules) -> list[Tensor]:
    """K + 1 latents `[B, C, H, H]`: of the first observation, and after each action."""
    latents: list[Tensor] = [network.representation(batch.observation)]
    for k, actions in enumerate(batch.actions.unbind(1)):
        latents.append(modules.apply_step(network.dynamics.transition, masks.after[:, k], latents[-1], actions))
        if latents[-1].requires_grad:
            latents[-1].register_hook(halve)
    return latents


@torch.no_grad()
def represent_next(network: EfficientZeroNetwork, batch: TensorBatch, masks: Masks, modules: UnrolledModules) -> list[Tensor]:
    """Encodes the K observations that really followed: latents `[B, C, H, H]`, which no gradient reaches."""
    steps = zip(masks.consistency.unbind(1), batch.next_observations, strict=True)
    return [modules.apply_step(network.representation, mask, observation) for mask, observation in steps]


def predict(
    network: EfficientZeroNetwork,
    latents: Sequence[Tensor],
    real_latents: Sequence[Tensor] | None,
    masks: Masks,
    modules: UnrolledModules,
) -> Tensor:
    """Returns `[B, K + 1, A + S]`: policy and value logits of all latents, side by side.

    Step by step, real latents are predicted from too, for their batch norm alone, as in EfficientZero's released code.
    """

    def heads(latent: Tensor) -> Tensor:
        return torch.cat(network.prediction(latent), dim=-1)

    if real_latents is not None and not modules.episode_only:
        with torch.no_grad():
            modules.apply_steps(heads, real_latents, masks.consistency, real=True)
    return modules.apply_steps(heads, latents, masks.value)


def unroll_value_prefixes(
    network: EfficientZeroNetwork, latents: list[Tensor], masks: Masks, modules: UnrolledModules, lstm_horizon: int
) -> Tensor:
    """Returns logits `[B, K, S]`; the LSTM starts from zero every `lstm_horizon` steps, as it does in the search."""
    features = modules.apply_steps(network.dynamics.stem, latents, masks.after).transpose(0, 1)
    outputs = torch.cat([network.dynamics.unroll_lstm(chunk) for chunk in features.split(lstm_horizon)])
    return modules.apply_steps(network.dynamics.value_prefix, outputs.unbind(0), masks.after)


def consistency_loss(
    network: EfficientZeroNetwork,
    latents: Sequence[Tensor],
    real_latents: Sequence[Tensor],
    masks: Masks,
    modules: UnrolledModules,
) -> Tensor:
    """Returns `[B, K]`: minus the cosine between the projections of K imagined latents `[B, C, H, H]` and of the real ones."""
    projected = modules.apply_steps(network.projection, latents, masks.consistency)
    with torch.no_grad():
        targets = modules.apply_steps(network.projection.projector, real_latents, masks.consistency, real=True)
    return -(functional.cosine_similarity(projected.float(), targets.float(), dim=-1, eps=1e-5) * masks.consistency)


def total_loss(losses: Losses, batch: TensorBatch, config: EfficientZeroConfig) -> Tensor:
    """Returns the loss `[]`: the importance-weighted mean over samples of the weighted terms, scaled by 1/K."""
    weights = config.optimizer
    per_sample = (
        weights.value_prefix_weight * losses.value_prefix
        + weights.policy_weight * losses.policy
        + weights.value_weight * losses.value
        + weights.consistency_weight * losses.consistency
    )
    return (batch.weights * per_sample).mean() / config.targets.num_unroll_steps


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Computes -sum of target log softmax(logits), `[...]` of `[..., X]` each. A target of zeros gives 0."""
    return -(target * logits.float().log_softmax(-1)).sum(-1)


def scalar_loss(logits: Tensor, target: Tensor, support: int) -> Tensor:
    """Computes the cross-entropy `[...]` of bins `[..., S]` with the two-hot category of the scalar `[...]`."""
    return cross_entropy(logits, to_categorical(target, support))


def halve(gradient: Tensor) -> Tensor:
    """Halves a gradient `[...]`, as a hook on each step's latent.

    It receives the whole gradient, from the heads and from later steps, as in EfficientZero's code.
    """
    return gradient * 0.5
