import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.networks.clvae.fast_spade import Painted, convolve, painted_one_hot
from semsynth.networks.clvae.layouts import one_hot


def painted(shared: bool = False) -> Painted:
    labels = torch.randint(0, 5, (2, 6, 8))
    return Painted(labels, torch.randn(1 if shared else 2, 5, 3))


@pytest.mark.parametrize("shared", [True, False])
def test_dense_layout_equals_a_loop_over_pixels(shared: bool) -> None:
    layout = painted(shared)
    expected = torch.zeros(2, 3, 6, 8)
    for b, y, x in torch.ones(2, 6, 8).nonzero().tolist():
        expected[b, :, y, x] = layout.tables[0 if shared else b, layout.labels[b, y, x]]
    assert torch.equal(layout.dense(), expected)
    assert layout.shape == expected.shape


@pytest.mark.parametrize("shared", [True, False])
def test_convolution_of_vectors_equals_that_of_pixels(shared: bool) -> None:
    layout, weight, bias = painted(shared), torch.randn(7, 3, 3, 3), torch.randn(7)
    expected = F.conv2d(layout.dense(), weight, bias, padding=1)
    torch.testing.assert_close(layout.convolved(weight, bias), expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(convolve(layout.dense(), weight, bias), expected)


def test_convolution_of_vectors_has_the_gradients_of_that_of_pixels() -> None:
    layout, weight = painted(), torch.randn(7, 3, 3, 3, requires_grad=True)
    tables = layout.tables.clone().requires_grad_()
    layout, direction = layout._replace(tables=tables), torch.randn(2, 7, 6, 8)
    ours = torch.autograd.grad(layout.convolved(weight, None), (tables, weight), direction)
    by_pixels = F.conv2d(layout.dense(), weight, padding=1)
    expected = torch.autograd.grad(by_pixels, (tables, weight), direction)
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-4)


def test_resized_layout_is_that_of_nearest_neighbour() -> None:
    layout = painted()
    for size in ((6, 8), (3, 4), (2, 2), (6, 4)):
        expected = F.interpolate(layout.dense(), size=size, mode="nearest")
        assert torch.equal(layout.resized(*size).dense(), expected)


def test_painted_one_hot_is_zero_where_ignored() -> None:
    mask = torch.randint(0, 4, (2, 6, 8))
    mask[0, 1, 2] = 255
    labels = mask.masked_fill(mask == 255, 4)
    assert torch.equal(painted_one_hot(labels, 4).dense(), one_hot(mask, 4))


def channels_last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last)


def test_maps_are_channels_last() -> None:
    assert channels_last(painted().convolved(torch.randn(4, 3, 3, 3), torch.randn(4)))
