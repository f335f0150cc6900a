"""The network is CURL's: parameter by parameter; its noise is that of noisy networks; a game's head is the published one."""

import numpy as np
import torch

from xtra.agents.curl.config import CurlConfig
from xtra.agents.curl.network import ContrastiveHead, CurlNetwork, DuelingHeads, NoisyLinear

CPU = torch.device("cpu")


def test_each_part_has_exactly_the_published_number_of_parameters() -> None:
    network = CurlNetwork(CurlConfig(), channels=4, frame_size=84)
    # 576 features, 256 hidden units, 51 atoms; every noisy layer has a mean and a scale for each weight.
    expected = {
        "representation": (4 * 25 * 32 + 32) + (32 * 25 * 64 + 64),
        "prediction": 2 * (2 * (576 * 256 + 256) + (256 * 51 + 51) + (256 * 18 * 51 + 18 * 51)),
        "projection": (576 * 256 + 256) + (256 * 128 + 128) + 128 * 128,
    }
    assert {name: sum(p.numel() for p in network.get_submodule(name).parameters()) for name in expected} == expected
    assert sum(p.numel() for p in network.parameters()) == sum(expected.values())


def test_a_noisy_layer_computes_with_means_plus_scaled_factorised_noise_of_each_sample() -> None:
    torch.manual_seed(0)
    layer, x = NoisyLinear(5, 3, 0.1), torch.randn(2, 5)
    with torch.no_grad():
        layer.weight_scale.uniform_()
        layer.bias_scale.uniform_()
    inputs, outputs = torch.randn(2, 5), torch.randn(2, 3)
    out = layer(x, (inputs, outputs))
    for i in range(2):
        weight = layer.weight_mean + layer.weight_scale * torch.outer(outputs[i], inputs[i])
        torch.testing.assert_close(out[i], weight @ x[i] + layer.bias_mean + layer.bias_scale * outputs[i])
    torch.testing.assert_close(layer(x, None), x @ layer.weight_mean.t() + layer.bias_mean)


def test_noise_is_the_signed_root_of_normal_draws() -> None:
    heads = DuelingHeads(2_000, CurlConfig().network)
    noise = heads.draw_noise(np.random.default_rng(0), 3, CPU)
    assert {name: (i.shape, o.shape) for name, (i, o) in noise.items()} == {
        "value_hidden": ((3, 2_000), (3, 256)),
        "value": ((3, 256), (3, 51)),
        "advantage_hidden": ((3, 2_000), (3, 256)),
        "advantage": ((3, 256), (3, 18 * 51)),
    }
    drawn = noise["value_hidden"][0].flatten()
    # Of the square root of |N(0, 1)|: its square has mean sqrt(2 / pi), and signs are even.
    assert abs(drawn.square().mean() - (2 / np.pi) ** 0.5) < 0.03
    assert abs(drawn.mean()) < 0.03


def test_a_games_heads_are_those_of_a_network_of_its_own_actions_alone() -> None:
    torch.manual_seed(0)
    network = CurlNetwork(CurlConfig(), channels=4, frame_size=84)
    images, ids = torch.rand(2, 4, 84, 84), [0, 3, 4]
    valid = torch.zeros(2, 18, dtype=torch.bool)
    valid[:, ids] = True
    log_probabilities = network.log_probabilities(images, valid, None)
    features, heads = network.representation(images), network.prediction
    value = heads.value(heads.value_hidden(features, None).relu(), None)
    advantage = heads.advantage(heads.advantage_hidden(features, None).relu(), None).view(2, 18, 51)[:, ids]
    expected = (value[:, None] + advantage - advantage.mean(1, keepdim=True)).log_softmax(-1)
    torch.testing.assert_close(log_probabilities[:, ids], expected)
    log_probabilities[:, ids].sum().backward()
    gradient = heads.advantage.weight_mean.grad
    assert gradient is not None
    used = gradient.view(18, 51, -1).abs().sum((1, 2)) > 0
    assert used.tolist() == [i in ids for i in range(18)]


def test_values_are_expected_returns_and_never_best_where_an_action_is_not_valid() -> None:
    network = CurlNetwork(CurlConfig.model_validate({"network": {"num_atoms": 3, "support": 2.0, "encoder": "small"}}), 3, 10)
    valid = torch.zeros(1, 18, dtype=torch.bool)
    valid[0, 5] = True
    values = network.values(torch.rand(1, 3, 10, 10), valid, None)
    probabilities = network.log_probabilities(torch.rand(1, 3, 10, 10), valid, None).exp()
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(1, 18))
    assert torch.isfinite(values).tolist() == valid.tolist()
    assert values[0, 5].abs() <= 2


def test_the_contrastive_heads_matrices_are_drawn_as_released_or_normally() -> None:
    torch.manual_seed(0)
    released = ContrastiveHead(576, 256, CurlConfig().contrastive)
    for matrix in (released.hidden_weight, released.code_weight, released.similarity):
        assert matrix.min() >= 0
        assert abs(matrix.mean() - 0.5) < 0.01
    normal = ContrastiveHead(576, 256, CurlConfig.model_validate({"contrastive": {"initialization": "normal"}}).contrastive)
    assert abs(normal.hidden_weight.std() * 576**0.5 - 1) < 0.01
    assert abs(normal.hidden_weight.mean()) < 0.001
    # Layer norms without parameters: codes have mean 0 and variance 1.
    codes = released(torch.rand(4, 576))
    torch.testing.assert_close(codes.mean(1), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(codes.var(1, unbiased=False), torch.ones(4), atol=1e-3, rtol=0)
