import pytest
import torch

from semsynth.networks.rivals.segmentation_discriminator import SegmentationDiscriminator


@pytest.mark.parametrize("depth", [1, 4, 6])
def test_each_pixel_gets_the_classes_and_fake(depth: int) -> None:
    network = SegmentationDiscriminator(5, channels=2, depth=depth)
    assert network(torch.randn(2, 3, 64, 128)).shape == (2, 6, 64, 128)


def test_gradient_reaches_every_parameter() -> None:
    network = SegmentationDiscriminator(5, channels=2, depth=3)
    network(torch.randn(2, 3, 32, 32)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


def test_samples_are_judged_alone_in_bfloat16_too() -> None:
    network = SegmentationDiscriminator(5, channels=2, depth=3).eval()
    image = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(network(image)[1:], network(image[1:]), atol=1e-5, rtol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        assert network(image).isfinite().all()


def test_too_many_halvings_are_refused() -> None:
    with pytest.raises(ValueError, match="depth must be 1 to 6"):
        SegmentationDiscriminator(5, depth=7)
