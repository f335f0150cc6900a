"""The network is EfficientZero's: parameter by parameter, shape by shape."""

import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from xtra.agents.efficientzero.config import NetworkConfig
from xtra.agents.efficientzero.network import EfficientZeroNetwork
from xtra.agents.efficientzero.support import (
    INVERSE_TRANSFORM,
    inverse_transform,
    to_categorical,
    to_scalar,
    to_scalars,
    transform,
)

# Derived from the layers in the published code: 18 actions, 96x96 frames.
SHARED_PARTS = {
    "dynamics": 2_382_281,
    "prediction": 133_611,
    "projection.projector": 4_465_664,
    "projection.predictor": 1_051_136,
}


@pytest.mark.parametrize(("blocks", "representation"), [(1, 318_016), (4, 1_039_552)])
def test_each_part_has_exactly_the_published_number_of_parameters(blocks: int, representation: int) -> None:
    network = EfficientZeroNetwork(NetworkConfig(blocks_per_stage=blocks), frame_size=96)
    expected = {"representation": representation, **SHARED_PARTS}
    counts = {name: sum(p.numel() for p in network.get_submodule(name).parameters()) for name in expected}
    assert counts == expected


def test_a_fresh_network_predicts_zero_value_and_a_uniform_policy() -> None:
    config = NetworkConfig(channels=8, num_halvings=3, lstm_hidden=16, support=20, projection_size=16, projection_hidden=16)
    network = EfficientZeroNetwork(config, frame_size=48).eval()
    root = network.initial_inference(torch.rand(3, 12, 48, 48))
    step = network.recurrent_inference(root.latent, root.value_prefix_state, torch.tensor([0, 3, 17]))
    assert root.latent.shape == step.latent.shape == (3, 8, 6, 6)
    assert step.value_prefix_state.shape == (3, 2, 16)
    for output in (root, step):
        torch.testing.assert_close(output.value, torch.zeros(3), atol=1e-5, rtol=0)
        assert torch.equal(output.policy_logits, torch.zeros(3, 18))


def test_the_next_latent_depends_on_the_action() -> None:
    torch.manual_seed(0)
    network = EfficientZeroNetwork(NetworkConfig(channels=8, num_halvings=0), frame_size=10).eval()
    root = network.initial_inference(torch.rand(2, 12, 10, 10))
    outputs = [network.recurrent_inference(root.latent, root.value_prefix_state, torch.full((2,), a)) for a in (0, 17)]
    assert not torch.equal(outputs[0].latent, outputs[1].latent)


def test_the_scalar_transform_is_the_corrected_one_and_inverts() -> None:
    # sign(x)(sqrt(|x| + 1) - 1) + 0.001 x, by hand: x = 3 gives 1.003 and x = -3 gives -1.003 (the older form: -0.997).
    torch.testing.assert_close(transform(torch.tensor([3.0, -3.0, 0.0])), torch.tensor([1.003, -1.003, 0.0]))
    x = torch.linspace(-300, 300, 601, dtype=torch.float64)
    torch.testing.assert_close(inverse_transform(transform(x)), x)


def test_a_scalar_becomes_two_neighbouring_categories() -> None:
    # h(3) = 1.003: 0.997 on bin 1 and 0.003 on bin 2 of -2..2; values beyond the support go to its edge.
    categories = to_categorical(torch.tensor([3.0, 1e6]), support=2)
    torch.testing.assert_close(categories[0], torch.tensor([0.0, 0.0, 0.0, 0.997, 0.003]), atol=1e-6, rtol=0)
    assert categories[1].tolist() == [0, 0, 0, 0, 1]
    values = torch.tensor([-7.5, 0.0, 0.3, 20.0])
    torch.testing.assert_close(to_scalar(to_categorical(values, 10).clamp_min(1e-30).log(), 10), values, atol=1e-3, rtol=1e-4)


def test_two_hot_categories_are_those_that_a_scatter_makes() -> None:
    x = torch.cat([torch.linspace(-400, 400, 4001), torch.tensor([0.0, 1e-9, -1e-9, 1e30, -1e30])])
    y = transform(x).clamp(-5, 5)
    low = y.floor()
    scattered = torch.zeros(len(x), 11)
    scattered.scatter_(-1, (low + 5).long().unsqueeze(-1), (1 - (y - low)).unsqueeze(-1))
    scattered.scatter_add_(-1, (low + 6).long().clamp(max=10).unsqueeze(-1), (y - low).unsqueeze(-1))
    assert torch.equal(to_categorical(x, 5), scattered)


def test_every_batch_norm_has_the_configured_momentum() -> None:
    config = NetworkConfig(channels=8, num_halvings=3, lstm_hidden=16, support=20, batch_norm_momentum=0.25)
    layers = [layer for layer in EfficientZeroNetwork(config, frame_size=48).modules() if hasattr(layer, "running_mean")]
    assert len(layers) > 10
    assert {layer.momentum for layer in layers} == {0.25}


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_the_kernel_that_transforms_scalars_computes_what_torch_computes(tmp_path: Path) -> None:
    """Its source, compiled for the CPU; on a GPU a product and a sum may be rounded once instead of twice."""
    numbers = torch.cat([-torch.logspace(-4, 2, 50), torch.tensor([0.0, -0.0, float("nan")]), torch.logspace(-4, 2, 50)])
    (tmp_path / "main.cpp").write_text(
        "#include <cmath>\n#include <cstdio>\nusing std::abs; using std::sqrt;\n"
        + INVERSE_TRANSFORM
        + 'int main() { for (float y; std::scanf("%f", &y) == 1;) std::printf("%.9g\\n", inverse_transform(y)); }\n'
    )
    subprocess.run(["g++", "-O1", "-ffp-contract=off", str(tmp_path / "main.cpp"), "-o", str(tmp_path / "main")], check=True)
    given = "\n".join(f"{number:.9g}" for number in numbers.tolist())
    printed = subprocess.run([str(tmp_path / "main")], input=given, capture_output=True, text=True, check=True).stdout
    made = torch.tensor([float(line) for line in printed.split()])
    torch.testing.assert_close(made, inverse_transform(numbers), equal_nan=True)


def test_scalars_keep_their_digits_where_layers_run_in_bfloat16() -> None:
    logits = torch.randn(50, 601, generator=torch.Generator().manual_seed(0)) * 4
    expected = to_scalar(logits, 300)
    with torch.autocast("cpu", torch.bfloat16):
        scalars = to_scalar(logits, 300)
    assert scalars.dtype == torch.float32
    assert torch.equal(scalars, expected)


def test_several_scalars_are_those_made_one_by_one() -> None:
    logits = torch.randn(2, 7, 11, generator=torch.Generator().manual_seed(0))
    for scalars, each in zip(to_scalars(tuple(logits), 5), logits, strict=True):
        assert torch.equal(scalars, to_scalar(each, 5))
