import pytest
import torch

from semsynth.networks.rivals.segmentation_discriminator import SegmentationDiscriminator


@pytest.mark.parametrize("depth", [1, 4, 6])
def test_each_pixel_gets_the_classes_and_fake(depth: int) -> None:
    network = SegmentationDiscriminator(5, channels=2, depth=depth)
    assert network(torch.randn(2, 3, 64, 128)).shape == (2, 6, 64, 128)


def test_too_many_halvings_are_refused() -> None:
    with pytest.raises(ValueError, match="depth must be 1 to 6"):
        SegmentationDiscriminator(5, depth=7)
