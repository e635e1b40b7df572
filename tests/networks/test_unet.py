import pytest
import torch

from semsynth.networks.unet import UNet


@pytest.mark.parametrize("size", [(16, 16), (17, 23)])
def test_logits_have_the_size_of_the_image(size: tuple[int, int]) -> None:
    assert UNet(5, channels=4)(torch.randn(2, 3, *size)).shape == (2, 5, *size)


def test_features_halve_and_widen() -> None:
    net = UNet(5, channels=4, depth=3)
    taps = net.features(torch.randn(2, 3, 17, 24))
    assert [tuple(tap.shape) for tap in taps] == [(2, 4, 17, 24), (2, 8, 9, 12), (2, 16, 5, 6)]
    assert net.feature_channels == (4, 8, 16)
    assert all(tap.min() >= 0 for tap in taps)


def test_unet_learns_to_tell_two_colours() -> None:
    torch.manual_seed(0)
    net = UNet(2, channels=4, depth=2)
    mask = torch.randint(0, 2, (4, 8, 8))
    image = (2.0 * mask - 1)[:, None].expand(-1, 3, -1, -1)
    optimizer = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(20):
        optimizer.zero_grad()
        torch.autograd.backward(torch.nn.functional.cross_entropy(net(image), mask))
        optimizer.step()
    assert (net(image).argmax(1) == mask).float().mean() > 0.95
