"""Whole updates of CURL against a second version of them, written plainly from the papers and from a state dict alone.

Sources: C51 (Bellemare et al., 2017), noisy networks (Fortunato et al., 2018), dueling heads (Wang et al., 2016), Adam (Kingma
and Ba, 2015), CURL (Laskin et al., 2020).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from xtra.agents.curl.config import CurlConfig
from xtra.agents.interface import TrainingRun, make_learner
from xtra.envs.config import EnvironmentConfig
from xtra.protocol.games import find_game
from xtra.rng import derive_seed, stream

from ..plain_targets import Memory, Place, clipped, fill, stack_at

NUM_UPDATES, NUM_ROWS, SEED = 10, 40, 4
SETTINGS: dict[str, dict[str, Any]] = {
    "network": {"frame_stack": 2, "encoder": "small", "hidden": 12, "num_atoms": 7, "support": 2.0, "noise_scale": 0.5},
    "targets": {"td_steps": 3, "discount": 0.8, "target_update_interval": 2},
    "optimizer": {"batch_size": 8, "learning_rate": 0.003, "augmentation_shift": 2},
    "contrastive": {"crop_margin": 2, "padding": 2, "momentum": 0.7, "size": 6, "initialization": "normal"},
}
Weights = dict[str, Tensor]
Noise = dict[str, tuple[Tensor, Tensor]]
LAYERS = ("value_hidden", "value", "advantage_hidden", "advantage")


class PlainCurl:
    def __init__(self, state: dict[str, Weights], config: CurlConfig, game: str) -> None:
        self.config, self.game, self.ids = config, game, list(find_game(game).action_ids)
        self.network, self.target, self.slow = (
            {name: w.clone() for name, w in state[which].items()} for which in ("network", "target", "momentum")
        )
        self.first, self.second = ({name: torch.zeros_like(w) for name, w in self.network.items()} for _ in range(2))
        self.atoms = torch.linspace(-config.network.support, config.network.support, config.network.num_atoms)

    def features(self, weights: Weights, images: Tensor) -> Tensor:
        x = functional.conv2d(images, weights["representation.0.weight"], weights["representation.0.bias"], 1, 1).relu()
        return functional.conv2d(x, weights["representation.2.weight"], weights["representation.2.bias"], 2, 1).relu().flatten(1)

    def noisy(self, weights: Weights, name: str, x: Tensor, noise: Noise) -> Tensor:
        """W = mean + scale * (f(out) f(in)^T), written out."""
        part, (inputs, outputs) = f"prediction.{name}", noise[name]
        matrix = weights[f"{part}.weight_mean"] + weights[f"{part}.weight_scale"] * torch.outer(outputs, inputs)
        return x @ matrix.T + weights[f"{part}.bias_mean"] + weights[f"{part}.bias_scale"] * outputs

    def log_probabilities(self, weights: Weights, images: Tensor, noise: Noise) -> Tensor:
        """`[B, valid actions, atoms]`."""
        features = self.features(weights, images)
        value = self.noisy(weights, "value", self.noisy(weights, "value_hidden", features, noise).relu(), noise)
        advantage = self.noisy(weights, "advantage", self.noisy(weights, "advantage_hidden", features, noise).relu(), noise)
        advantage = advantage.view(len(images), 18, -1)[:, self.ids]
        return (value[:, None] + advantage - advantage.mean(1, keepdim=True)).log_softmax(-1)

    def codes(self, weights: Weights, images: Tensor) -> Tensor:
        def normalized(x: Tensor) -> Tensor:
            return (x - x.mean(1, keepdim=True)) / torch.sqrt(x.var(1, keepdim=True, correction=0) + 1e-5)

        hidden = self.features(weights, images) @ weights["projection.hidden_weight"] + weights["projection.hidden_bias"]
        return normalized(normalized(hidden).relu() @ weights["projection.code_weight"] + weights["projection.code_bias"])

    def draw_noise(self, rng: np.random.Generator) -> Noise:
        sizes = [tuple(reversed(self.network[f"prediction.{name}.weight_mean"].shape)) for name in LAYERS]
        normal = torch.from_numpy(rng.standard_normal((1, sum(map(sum, sizes))), np.float32))[0]
        parts = iter((normal.sign() * normal.abs().sqrt()).split([width for pair in sizes for width in pair]))
        return {name: (next(parts), next(parts)) for name in LAYERS}

    def view(self, images: Tensor, margin: int, padding: int, generator: torch.Generator) -> Tensor:
        """A crop, padded by replication, cropped back."""
        size = images.shape[-1]
        high = (margin + 1, 2 * padding - margin + 1) * 2
        (row, row_back, column, column_back) = (torch.randint(0, h, (len(images), 1), generator=generator) for h in high)
        out = []
        for i, image in enumerate(images):
            r, c, rb, cb = (int(x[i]) for x in (row, column, row_back, column_back))
            crop = image[:, r : r + size - margin, c : c + size - margin]
            out.append(functional.pad(crop, [padding] * 4, mode="replicate")[:, rb : rb + size, cb : cb + size])
        return torch.stack(out)

    def projected(self, probabilities: Tensor, returns: float, discount: float) -> Tensor:
        """`[atoms]`: each atom's mass, moved, between its new neighbours (C51, algorithm 1)."""
        out, step = torch.zeros(len(self.atoms)), float(self.atoms[1] - self.atoms[0])
        for mass, atom in zip(probabilities.tolist(), self.atoms.tolist(), strict=True):
            moved = min(max(returns + discount * atom, float(self.atoms[0])), float(self.atoms[-1]))
            place = (moved - float(self.atoms[0])) / step
            low = min(int(np.floor(place + 1e-6)), len(self.atoms) - 1)
            share = max(place - low, 0.0)
            out[low] += mass * (1 - share)
            out[min(low + 1, len(self.atoms) - 1)] += mass * share
        return out

    def update(self, memory: Memory, update: int) -> dict[str, float]:
        config = self.config
        start = config.replay.importance_exponent_start
        beta = start + (1 - start) * update / (NUM_UPDATES - 1)
        places = memory.draw(config.optimizer.batch_size, stream(SEED, "replay", update), config, beta)  # type: ignore[arg-type]
        for weight in self.network.values():
            weight.requires_grad_(True)
        value, contrastive, accuracy = self.losses(memory, places, update)
        weight = config.contrastive.weight_in(self.game)
        weights = torch.tensor([p.weight for p in places], dtype=torch.float32)
        loss = (weights * (value + weight * contrastive)).sum() / len(places)
        norm = self.adam(loss, update + 1)
        errors = value.detach() + (weight * contrastive.detach() if config.contrastive.in_priorities else 0.0)
        memory.prioritize(places, errors.tolist(), config)  # type: ignore[arg-type]
        metrics = {"loss": loss.item(), "gradient_norm": norm, "value_loss": value.mean().item()}
        if weight:
            metrics |= {"contrastive_loss": contrastive.item(), "contrastive_accuracy": accuracy}
            for name, slow in self.slow.items():
                if not name.startswith("prediction"):
                    kept = config.contrastive.momentum
                    self.slow[name] = kept * slow + (1 - kept) * self.network[name]
        if (update + 1) % config.targets.target_update_interval == 0:
            self.target = {name: w.clone() for name, w in self.network.items()}
        return metrics

    def losses(self, memory: Memory, places: list[Place], update: int) -> tuple[Tensor, Tensor, float]:
        config, n = self.config, self.config.targets.td_steps
        generator = torch.Generator().manual_seed(derive_seed(SEED, "augment", update) % 2**63)
        rng = stream(SEED, "noise", "update", update)
        noise, target_noise = self.draw_noise(rng), self.draw_noise(rng)
        now, later = (torch.stack([stack_at(memory, p.row, p.env, ahead, 2) for p in places]) for ahead in (0, n))
        contrastive, accuracy = torch.zeros(()), 0.0
        if config.contrastive.weight != 0:
            margin, padding = config.contrastive.crop_margin, config.contrastive.padding
            anchors, keys = (self.view(now, margin, padding, generator) for _ in range(2))
            with torch.no_grad():
                key_codes = self.codes(self.slow, keys)
            codes = self.codes(self.network, anchors)
            logits = 0.1 * codes @ self.network["projection.similarity"] @ key_codes.T
            contrastive = -logits.log_softmax(1).diagonal().mean()
            accuracy = float((logits.argmax(1) == torch.arange(len(places))).float().mean())
        if config.optimizer.augmentation == "shift":
            now, later = (self.view(images, 0, config.optimizer.augmentation_shift, generator) for images in (now, later))
        with torch.no_grad():
            best = (self.log_probabilities(self.network, later, noise).exp() @ self.atoms).argmax(1)
            judged = self.log_probabilities(self.target, later, target_noise).exp()
        log_probabilities, values = self.log_probabilities(self.network, now, noise), []
        for i, p in enumerate(places):
            moments, end = memory.moments[p.env], memory.end(p.row, p.env)
            rewards = [clipped(moments[r], config) for r in range(p.row, min(p.row + n, end + 1))]  # type: ignore[arg-type]
            returns = sum(config.targets.discount**k * reward for k, reward in enumerate(rewards))
            discount = config.targets.discount**n if p.row + n <= end else 0.0
            wanted = self.projected(judged[i, best[i]], returns, discount)
            values.append(-(wanted * log_probabilities[i, self.ids.index(moments[p.row].action)]).sum())
        return torch.stack(values), contrastive, accuracy

    def adam(self, loss: Tensor, step: int) -> float:
        """Returns the norm of the gradient before it was clipped."""
        settings, names = self.config.optimizer, list(self.network)
        gradients = torch.autograd.grad(loss, list(self.network.values()), allow_unused=True)
        norm = sum(float((g.double() ** 2).sum()) for g in gradients if g is not None) ** 0.5
        for name, gradient in zip(names, gradients, strict=True):
            weight = self.network[name].detach()
            if gradient is not None:
                gradient = gradient * min(1.0, settings.max_gradient_norm / norm)
                self.first[name] = 0.9 * self.first[name] + 0.1 * gradient
                self.second[name] = 0.999 * self.second[name] + 0.001 * gradient**2
                first, second = self.first[name] / (1 - 0.9**step), self.second[name] / (1 - 0.999**step)
                weight = weight - settings.learning_rate * first / (second.sqrt() + settings.adam_epsilon)
            self.network[name] = weight
        return norm


@pytest.mark.parametrize(
    ("game", "blocks"),
    [
        ("CatchWide", {}),
        ("Pong", {"optimizer": {"max_gradient_norm": 0.2}}),
        ("CatchWide", {"contrastive": {"initialization": "uniform", "in_priorities": False}}),
        ("CatchWide", {"contrastive": {"weight": 0.0}, "optimizer": {"augmentation": "shift"}}),
    ],
    ids=["as released", "a light contrastive weight and a clipped gradient", "plain priorities", "DER with shifts"],
)
def test_four_updates_are_those_of_the_plain_version(game: str, blocks: dict[str, dict[str, Any]]) -> None:
    config = CurlConfig.model_validate({name: SETTINGS.get(name, {}) | blocks.get(name, {}) for name in SETTINGS})
    run = TrainingRun(num_updates=NUM_UPDATES, env_step_updates=10, seed=SEED, num_threads=1, device=torch.device("cpu"))
    learner = make_learner(config, EnvironmentConfig(game=game, frame_size=10), run)
    plain = PlainCurl(learner.state(), config, game)
    replay, memory = learner.make_replay(2, (10, 10, 3), 100), Memory(config.window)
    fill(replay, memory, NUM_ROWS, find_game(game).action_ids, seed=6)
    for update in range(4):
        expected = plain.update(memory, update)
        assert learner.update(replay, update) == pytest.approx(expected, rel=2e-3), update
        np.testing.assert_allclose(replay.priorities[:NUM_ROWS], memory.priorities(), rtol=1e-3, atol=1e-4)
        state = learner.state()
        for which, weights in (("network", plain.network), ("target", plain.target), ("momentum", plain.slow)):
            for name, expected_weight in weights.items():
                assert_close(state[which][name], expected_weight, 2e-3, f"{which} {name}")
        for i, (name, first) in enumerate(plain.first.items()):
            average = state["optimizer"]["state"].get(i, {"exp_avg": torch.zeros_like(first)})["exp_avg"]
            assert_close(average, first, 0.02, f"gradient of {name}")


def assert_close(actual: Tensor, expected: Tensor, tolerance: float, name: str) -> None:
    """tolerance: of the norm of the difference, relative to the tensor's."""
    error = (actual - expected).norm().item() / (expected.norm().item() + 1e-4)
    assert error < tolerance, f"{name}: {error}"
