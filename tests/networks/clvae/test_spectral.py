import pytest
import torch
from torch import Tensor, nn

from semsynth.networks.clvae.spectral import initialise, spectral_conv


def test_spectral_conv_has_unit_spectral_norm_once_converged() -> None:
    conv = spectral_conv(6, 8, 3)
    for _ in range(500):
        _ = conv.weight
    norm = torch.linalg.matrix_norm(conv.weight.flatten(1), 2)
    torch.testing.assert_close(norm, torch.tensor(1.0), atol=1e-3, rtol=0)


def std(weight: Tensor) -> float:
    return weight.std().item()


@pytest.mark.parametrize(("mode", "expected"), [("upstream_gpu", 0.0241), ("xavier", 0.000833)])
def test_initialise_of_spectral_convolutions(mode: str, expected: float) -> None:
    conv = spectral_conv(64, 64, 3)
    initialise(conv, mode)  # type: ignore[arg-type]
    weight = conv.get_parameter("parametrizations.weight.original")
    assert std(weight) == pytest.approx(expected, rel=0.05)
    assert conv.bias is not None
    assert not conv.bias.any()


def test_initialise_keeps_the_spectral_norm_near_one() -> None:
    conv = spectral_conv(64, 64, 3)
    initialise(conv, "xavier")
    norm = torch.linalg.matrix_norm(conv.eval().weight.flatten(1), 2)
    assert norm.item() == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("mode", ["upstream_gpu", "xavier"])
def test_initialise_draws_other_layers_from_xavier_and_leaves_embeddings(mode: str) -> None:
    net = nn.ModuleList([nn.Conv2d(64, 64, 3), nn.Linear(200, 100), nn.Embedding(100, 100)])
    initialise(net, mode)  # type: ignore[arg-type]
    conv, linear, embedding = net.parameters(), net[1].bias, net[2].weight
    assert std(next(conv)) == pytest.approx(0.02 * (2 / (2 * 64 * 9)) ** 0.5, rel=0.05)
    assert isinstance(linear, Tensor)
    assert not linear.any()
    assert isinstance(embedding, Tensor)
    assert std(embedding) == pytest.approx(1, rel=0.1)
