import pytest
import torch
import torchvision
from torch import Tensor

from semsynth.networks.vgg import VGG19Features


def official(image: Tensor, weights: dict[str, Tensor]) -> list[Tensor]:
    with torch.device("meta"):
        net = torchvision.models.vgg19(weights=None).features[:30]
    net = net.to_empty(device="cpu")
    net.load_state_dict({k.removeprefix("features."): v for k, v in weights.items()})
    names = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    ends = dict(zip(("1", "6", "11", "20", "29"), names, strict=True))
    extractor = torchvision.models._utils.IntermediateLayerGetter(net, ends)
    return list(extractor(image).values())


def random_weights() -> dict[str, Tensor]:
    state = VGG19Features().layers.state_dict()
    return {f"features.{k}": 0.05 * torch.randn_like(v) for k, v in state.items()}


def test_features_equal_the_taps_of_torchvision() -> None:
    weights, image = random_weights(), torch.randn(1, 3, 32, 32)
    taps = VGG19Features().load(weights).features(image)
    assert [tap.shape[1] for tap in taps] == [64, 128, 256, 512, 512]
    torch.testing.assert_close(taps, official(image, weights))


def test_network_is_frozen_and_passes_the_gradient_to_the_image() -> None:
    net = VGG19Features()
    image = torch.randn(1, 3, 16, 16, requires_grad=True)
    net(image)[-1].sum().backward()
    assert not any(p.requires_grad for p in net.parameters())
    assert image.grad is not None
    assert image.grad.any()


def test_load_ignores_the_classifier() -> None:
    weights = random_weights()
    net = VGG19Features().load({**weights, "classifier.0.weight": torch.zeros(1)})
    assert torch.equal(net.state_dict()["layers.0.weight"], weights["features.0.weight"])


def test_load_refuses_another_network() -> None:
    with pytest.raises(ValueError, match=r"without features\.0\.bias"):
        VGG19Features().load({"conv1.weight": torch.zeros(1)})
