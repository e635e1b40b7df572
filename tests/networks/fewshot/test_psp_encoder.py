from typing import Any

import pytest
import torch
from torch import Tensor, nn

from semsynth.networks.fewshot.psp_encoder import Bottleneck, GradualStyleEncoder, SqueezeExcitation

SLIM: dict[str, Any] = {"w_dim": 10, "units": (1, 2, 1, 1), "widths": (4, 6, 8, 12)}


def slim(num_ws: int = 9, image_size: int = 32) -> GradualStyleEncoder:
    torch.manual_seed(0)
    return GradualStyleEncoder(5, num_ws, image_size, **SLIM)


def layouts(batch_size: int = 3, image_size: int = 32) -> Tensor:
    labels = torch.randint(5, (batch_size, image_size, image_size))
    return nn.functional.one_hot(labels, 5).movedim(3, 1).float()


@pytest.mark.parametrize(("num_ws", "millions"), [(14, 209.5), (16, 238.3), (18, 267.1)])
def test_defaults_have_the_parameters_of_the_published(num_ws: int, millions: float) -> None:
    with torch.device("meta"):
        encoder = GradualStyleEncoder(19, num_ws)
        styles = encoder(torch.zeros(2, 19, 256, 256))
    assert round(sum(p.numel() for p in encoder.parameters()) / 1e6, 1) == millions
    assert styles.shape == (2, num_ws, 512)


@pytest.mark.parametrize("num_ws", [8, 9, 10])
def test_network_for_toys_has_about_a_million_parameters(num_ws: int) -> None:
    with torch.device("meta"):
        encoder = GradualStyleEncoder(8, num_ws, 64, 128, (1, 1, 1, 1), (16, 32, 48, 64))
    assert 0.9e6 < sum(p.numel() for p in encoder.parameters()) < 1.4e6


@pytest.mark.parametrize("image_size", [32, 64, 128])
@pytest.mark.parametrize("num_ws", [1, 4, 9])
def test_heads_reduce_maps_of_any_size_to_one_pixel(image_size: int, num_ws: int) -> None:
    encoder = slim(num_ws, image_size)
    assert encoder(layouts(2, image_size)).shape == (2, num_ws, 10)
    halvings: list[int] = []
    for head in encoder.heads:
        halvings.append(sum(isinstance(m, nn.Conv2d) for m in head.modules()))
    first = {32: 1, 64: 2, 128: 3}[image_size]
    assert halvings == [first + (i >= 3) + (i >= 7) for i in range(num_ws)]


def test_styles_come_from_the_map_of_their_level() -> None:
    encoder = slim().eval()
    seen: dict[int, Tensor] = {}
    for i, head in enumerate(encoder.heads):
        head.register_forward_pre_hook(lambda m, inputs, i=i: seen.update({i: inputs[0]}))
    taps: list[Tensor] = []
    for group in encoder.groups:
        group.register_forward_hook(lambda module, inputs, output: taps.append(output))
    encoder(layouts())
    up = nn.UpsamplingBilinear2d(scale_factor=2)  # corners upon corners
    middle = up(taps[3]) + encoder.lateral1(taps[2])
    large = up(middle) + encoder.lateral2(taps[1])
    for i in range(9):
        torch.testing.assert_close(seen[i], taps[3] if i < 3 else middle if i < 7 else large)


@pytest.mark.parametrize(("c_in", "c_out", "stride"), [(6, 6, 1), (6, 6, 2), (6, 8, 2)])
def test_residual_unit_is_its_formula(c_in: int, c_out: int, stride: int) -> None:
    unit, x = Bottleneck(c_in, c_out, stride).eval(), torch.randn(2, c_in, 8, 8)
    layers: Any = unit.residual
    norm, conv1, act, conv2, norm2, scale = layers
    y = norm2(conv2(act(conv1(norm(x)))))
    gate = scale.fc2(torch.relu(scale.fc1(y.mean((2, 3), keepdim=True)))).sigmoid()
    kept = nn.MaxPool2d(1, stride)(x) if unit.shortcut is None else unit.shortcut(x)
    assert (unit.shortcut is None) == (c_in == c_out)
    torch.testing.assert_close(unit(x), y * gate + kept)


def test_squeeze_of_few_channels_keeps_one() -> None:
    assert SqueezeExcitation(8)(torch.randn(2, 8, 4, 4)).shape == (2, 8, 4, 4)


@pytest.mark.parametrize("image_size", [16, 48, 100])
def test_sizes_that_cannot_be_halved_to_one_pixel_are_refused(image_size: int) -> None:
    with pytest.raises(ValueError, match=f"power of two from 32, got {image_size}"):
        slim(9, image_size)


def test_input_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"layouts \(B, 5, 32, 32\), got \(3, 5, 64, 64\)"):
        slim()(layouts(3, 64))
    with pytest.raises(ValueError, match="num_ws must be at least 1"):
        slim(0)
    with pytest.raises(ValueError, match=r"four groups.*got \(1, 1\)"):
        GradualStyleEncoder(5, 9, units=(1, 1))
