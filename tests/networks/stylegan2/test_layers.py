import math
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.networks.stylegan2.layers import (
    EqualisedConv2d,
    EqualisedLinear,
    ModulatedConv2d,
    blur,
    halve,
    leaky_relu,
    upsample,
)
from tests.helpers.slow_convolution import FILTER, modulated_conv, upfirdn

W_DIM = 4


def modulated_by_hand(conv: ModulatedConv2d, x: Tensor, w: Tensor) -> Tensor:
    """One sample at a time, with weights that are scaled and normalised for it."""
    samples = []
    for image, latent in zip(x, w, strict=True):
        style = conv.affine.weight @ latent / math.sqrt(len(latent)) + conv.affine.bias
        enlarge_by = 4 * FILTER if conv.up else None
        samples.append(modulated_conv(image, conv.weight, style, conv.demodulate, enlarge_by))
    return torch.stack(samples)


@pytest.mark.parametrize(
    ("function", "gain", "options"),
    [
        (upsample, 4.0, {"up": 2, "pad": (2, 1)}),
        (partial(blur, padding=1, gain=4.0), 4.0, {"pad": (1, 1)}),
        (partial(blur, padding=2, gain=1.0), 1.0, {"pad": (2, 2)}),
        (halve, 1.0, {"down": 2, "pad": (1, 1)}),
    ],
)
def test_filters_equal_the_slow_upfirdn(function: Any, gain: float, options: Any) -> None:
    image = torch.randn(2, 3, 6, 8)
    torch.testing.assert_close(function(image), upfirdn(image, gain * FILTER, **options))


def test_blur_and_upsampling_keep_a_constant() -> None:
    ones = torch.ones(1, 2, 8, 8)
    torch.testing.assert_close(blur(ones, 2)[..., 3:-3, 3:-3], ones[..., :3, :3])
    torch.testing.assert_close(upsample(ones)[..., 2:-2, 2:-2], torch.ones(1, 2, 12, 12))


def test_halving_3x3_convolution_blurs_with_padding_2_and_then_strides() -> None:
    conv, x = EqualisedConv2d(3, 5, 3, down=True), torch.randn(2, 3, 8, 8)
    assert conv.bias is not None
    conv.bias.data.normal_()
    blurred = upfirdn(x, FILTER, pad=(2, 2))
    expected = F.conv2d(blurred, conv.weight / math.sqrt(27), stride=2)
    expected = F.leaky_relu(expected + conv.bias.view(1, -1, 1, 1), 0.2) * math.sqrt(2)
    assert expected.shape == (2, 5, 4, 4)
    torch.testing.assert_close(conv(x), expected)


def test_halving_skip_blurs_with_padding_1_and_then_strides() -> None:
    conv, x = EqualisedConv2d(3, 5, 1, down=True, activate=False), torch.randn(2, 3, 8, 8)
    expected = F.conv2d(upfirdn(x, FILTER, pad=(1, 1)), conv.weight / math.sqrt(3), stride=2)
    assert expected.shape == (2, 5, 4, 4)
    torch.testing.assert_close(conv(x), expected)


@pytest.mark.parametrize("kernel_size", [1, 3])
def test_equalised_convolution_scales_weights_when_it_runs(kernel_size: int) -> None:
    conv, x = EqualisedConv2d(3, 5, kernel_size), torch.randn(2, 3, 8, 8)
    assert conv.bias is not None
    conv.bias.data.normal_()
    weight = conv.weight / math.sqrt(3 * kernel_size**2)
    expected = leaky_relu(F.conv2d(x, weight, conv.bias, padding=kernel_size // 2))
    torch.testing.assert_close(conv(x), expected)


def test_equalised_linear_scales_weights_and_bias_when_it_runs() -> None:
    layer = EqualisedLinear(16, 8, bias=1.0, lr_multiplier=0.01)
    assert layer.weight.std().item() == pytest.approx(100, rel=0.3)
    torch.testing.assert_close(layer(torch.zeros(16)), torch.ones(8))
    x = torch.randn(3, 16)
    torch.testing.assert_close(layer(x), x @ layer.weight.t() * 0.01 / 4 + 1)


@pytest.mark.parametrize(
    ("demodulate", "up", "kernel_size"),
    [(True, False, 3), (True, True, 3), (False, False, 3), (False, True, 3), (False, False, 1)],
)
@pytest.mark.parametrize(
    ("batch_size", "gradients"), [(3, True), (3, False), (1, True), (1, False)]
)
def test_modulated_convolution_equals_a_loop_over_samples(
    demodulate: bool, up: bool, kernel_size: int, batch_size: int, gradients: bool
) -> None:
    torch.manual_seed(0)
    conv = ModulatedConv2d(3, 5, kernel_size, W_DIM, demodulate, up)
    x, w = torch.randn(batch_size, 3, 4, 6), torch.randn(batch_size, W_DIM)
    with torch.set_grad_enabled(gradients):
        result = conv(x, w, gain=1.5)
    assert result.requires_grad == gradients
    expected = 1.5 * modulated_by_hand(conv, x, w)
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("demodulate", "up"), [(True, True), (True, False), (False, False)])
def test_modulated_convolution_passes_both_gradchecks(
    float64: None, demodulate: bool, up: bool
) -> None:
    conv = ModulatedConv2d(2, 3, 3, W_DIM, demodulate, up)
    inputs = (torch.randn(2, 2, 3, 3), torch.randn(2, W_DIM), conv.weight.detach().clone())

    def run(x: Tensor, w: Tensor, weight: Tensor) -> Tensor:
        state = {"weight": weight}
        return torch.func.functional_call(conv, state, (x, w)) ** 2

    variables = tuple(t.requires_grad_() for t in inputs)
    assert torch.autograd.gradcheck(run, variables, fast_mode=True)
    assert torch.autograd.gradgradcheck(run, variables, fast_mode=True)


@pytest.mark.parametrize("kernel_size", [1, 3])
def test_halving_convolution_passes_both_gradchecks(float64: None, kernel_size: int) -> None:
    conv = EqualisedConv2d(2, 3, kernel_size, down=True)
    x = torch.randn(2, 2, 4, 4, requires_grad=True)
    assert torch.autograd.gradcheck(conv, x, fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda x: conv(x) ** 2, x, fast_mode=True)


def test_styles_and_demodulation_stay_in_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    conv = ModulatedConv2d(3, 5, 3, W_DIM)
    x, w = torch.randn(2, 3, 4, 4), torch.randn(2, W_DIM)
    scales: list[Tensor] = []
    original = conv.output_scale

    def recorded(style: Tensor) -> Tensor:
        scales.append(original(style))
        return scales[-1]

    monkeypatch.setattr(conv, "output_scale", recorded)
    expected = conv(x, w)
    with torch.autocast("cpu", torch.bfloat16):
        result = conv(x.bfloat16(), w)
    assert result.dtype == torch.bfloat16
    assert torch.equal(scales[0], scales[1])
    torch.testing.assert_close(result.float(), expected, atol=0.05, rtol=0.05)
