import pytest
import torch
import torchvision
from torch import Tensor
from torchvision.transforms.functional import normalize

from semsynth.networks.vgg import VGG, VGGFeatures

ENDS: dict[VGG, tuple[str, ...]] = {
    "vgg16": ("1", "6", "11", "18", "25"),
    "vgg19": ("1", "6", "11", "20", "29"),
}
NAMES: tuple[VGG, ...] = ("vgg16", "vgg19")


def official(name: VGG, image: Tensor, weights: dict[str, Tensor]) -> list[Tensor]:
    with torch.device("meta"):
        net = getattr(torchvision.models, name)(weights=None).features[: int(ENDS[name][-1]) + 1]
    net = net.to_empty(device="cpu")
    net.load_state_dict({k.removeprefix("features."): v for k, v in weights.items()})
    relus = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    ends = dict(zip(ENDS[name], relus, strict=True))
    extractor = torchvision.models._utils.IntermediateLayerGetter(net, ends)
    return list(extractor(image).values())


def random_weights(name: VGG) -> dict[str, Tensor]:
    state = VGGFeatures(name).layers.state_dict()
    return {f"features.{k}": 0.05 * torch.randn_like(v) for k, v in state.items()}


@pytest.mark.parametrize("name", NAMES)
def test_features_equal_the_taps_of_torchvision(name: VGG) -> None:
    weights, image = random_weights(name), torch.rand(1, 3, 32, 32) * 2 - 1
    taps = VGGFeatures(name).load(weights).features(image)
    seen = image  # by VGG-16 normalised as torchvision's recipe says, by VGG-19 as SPADE's does
    if name == "vgg16":
        seen = normalize((image + 1) / 2, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    assert [tap.shape[1] for tap in taps] == [64, 128, 256, 512, 512]
    torch.testing.assert_close(taps, official(name, seen, weights))


@pytest.mark.parametrize("name", NAMES)
def test_a_tap_is_the_first_activation_of_its_resolution(name: VGG) -> None:
    layers = VGGFeatures(name).layers
    x = torch.randn(1, 3, 32, 32)
    first: dict[int, int] = {}  # by side
    for i, layer in enumerate(layers):
        x = layer(x)
        if isinstance(layer, torch.nn.ReLU):
            first.setdefault(x.shape[-1], i)
    sides = sorted(first, reverse=True)
    assert [first[side] for side in sides] == list(VGGFeatures(name).taps)


def test_network_is_frozen_and_passes_the_gradient_to_the_image() -> None:
    net = VGGFeatures()
    image = torch.randn(1, 3, 16, 16, requires_grad=True)
    net(image)[-1].sum().backward()
    assert not any(p.requires_grad for p in net.parameters())
    assert image.grad is not None
    assert image.grad.any()


def test_load_ignores_the_classifier() -> None:
    weights = random_weights("vgg19")
    net = VGGFeatures().load({**weights, "classifier.0.weight": torch.zeros(1)})
    assert torch.equal(net.state_dict()["layers.0.weight"], weights["features.0.weight"])


@pytest.mark.parametrize("name", NAMES)
def test_load_refuses_another_network(name: VGG) -> None:
    with pytest.raises(ValueError, match=rf"torchvision's {name}.*without features\.0\.bias"):
        VGGFeatures(name).load({"conv1.weight": torch.zeros(1)})
