from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch

from semsynth.networks.trunk_unet import TrunkUNet


@pytest.mark.parametrize("size", [(16, 16), (17, 23)])
def test_logits_have_the_size_of_the_image(size: tuple[int, int]) -> None:
    network = TrunkUNet(5, 4, "efficientnet-lite0")
    assert network(torch.randn(2, 3, *size)).shape == (2, 5, *size)


def test_trunk_gives_the_features_of_the_classifier_it_was_loaded_from() -> None:
    create: Callable[..., Any] = timm.create_model
    classifier = create("tf_efficientnet_lite0").eval()
    network = TrunkUNet(5, 4, "efficientnet-lite0").eval()
    network.load_trunk(classifier.state_dict())
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        x = classifier.blocks(classifier.bn1(classifier.conv_stem(image)))
        torch.testing.assert_close(network.trunk(image)[-1], x)
