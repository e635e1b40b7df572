from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from cleanfid.inception_torchscript import InceptionV3W
from cleanfid.resize import build_resizer
from torch import Tensor, nn

from semsynth.images import to_uint8
from semsynth.metrics.features import (
    FeatureExtractor,
    InceptionFeatures,
    LPIPSTaps,
    ToyFeatures,
    ToyTaps,
    build_features,
    build_taps,
    random_lpips,
    resize_for_inception,
)
from semsynth.weights import MissingWeightsError, load_segmenter

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")  # Inception's format


def random_images(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(1)).to(torch.uint8)


def cleanfid_resize(images: Tensor) -> Tensor:
    resize = build_resizer("clean")
    rows = [resize(image.permute(1, 2, 0).numpy()) for image in images]
    return torch.from_numpy(np.stack(rows)).permute(0, 3, 1, 2)


def test_to_uint8_inverts_reading_a_png_and_clamps() -> None:
    values = torch.arange(256).to(torch.uint8)
    assert to_uint8(values / 127.5 - 1).equal(values)
    assert to_uint8(torch.tensor([-1.5, 1.5])).tolist() == [0, 255]


@pytest.mark.parametrize(("height", "width"), [(101, 67), (64, 64), (256, 512)])
def test_resize_equals_cleanfid(height: int, width: int) -> None:
    images = random_images(2, 3, height, width)
    torch.testing.assert_close(
        resize_for_inception(images), cleanfid_resize(images), rtol=0, atol=0.01
    )


@pytest.fixture
def inception_file(weights_folder: Path) -> Path:
    """A small network with the interface of the real file: ``layers`` gives 2048 features."""
    network = nn.Module()
    network.layers = nn.Sequential(nn.AdaptiveAvgPool2d(8), nn.Conv2d(3, 2048, 8), nn.ReLU())
    path = weights_folder / "inception-2015-12-05.pt"
    torch.jit.save(torch.jit.script(network), path)
    return path


def test_inception_features_equal_cleanfid(inception_file: Path) -> None:
    images = random_images(3, 3, 45, 71)
    reference = InceptionV3W(str(inception_file.parent), download=False)
    extractor = InceptionFeatures()
    features = extractor(images)
    assert features.shape == (3, extractor.dim)
    assert features.dtype == torch.float32
    torch.testing.assert_close(features, reference(cleanfid_resize(images)), rtol=0, atol=1e-5)


def test_inception_has_no_weights_that_train(inception_file: Path) -> None:
    extractor = build_features("inception").train()
    assert not any(p.requires_grad for p in extractor.parameters())
    assert not any(m.training for m in extractor.modules())


def test_toy_features_are_spatial_means_of_the_encoder(toy_assets: Path) -> None:
    images = random_images(2, 3, 20, 28)
    extractor = ToyFeatures("toy_street")
    taps = load_segmenter("toy_street").features(images / 127.5 - 1)
    expected = torch.cat([tap.flatten(2).mean(dim=2) for tap in taps], dim=1)
    assert extractor.dim == 4 + 8 + 16
    torch.testing.assert_close(extractor(images), expected)


@pytest.mark.parametrize("kind", [ToyFeatures, ToyTaps])
def test_autocast_and_train_mode_change_nothing(toy_assets: Path, kind: type) -> None:
    network = kind("toy_street")
    images = random_images(2, 3, 16, 16)
    inputs = images if isinstance(network, FeatureExtractor) else images / 127.5 - 1
    before = network(inputs)
    network.train()
    with torch.autocast("cpu", torch.bfloat16):
        after = network(inputs)
    torch.testing.assert_close(after, before, rtol=0, atol=0)


def test_exact_float32_puts_the_tf32_switch_back(toy_assets: Path) -> None:
    before = torch.backends.cudnn.allow_tf32
    ToyFeatures("toy_street")(random_images(1, 3, 8, 8))
    assert torch.backends.cudnn.allow_tf32 == before


def distance(taps_a: list[Tensor], taps_b: list[Tensor]) -> Tensor:
    pairs = zip(taps_a, taps_b, strict=True)
    return torch.stack([(a - b).square().mean(dim=(2, 3)).sum(dim=1) for a, b in pairs]).sum(dim=0)


def test_toy_distance_is_that_of_unit_vectors_averaged_over_taps(toy_assets: Path) -> None:
    a, b = (random_images(2, 2, 3, 16, 24) / 127.5 - 1).unbind()
    taps, network = ToyTaps("toy_street"), load_segmenter("toy_street")
    expected = torch.stack(
        [
            (F.normalize(x) - F.normalize(y)).square().sum(dim=1).mean(dim=(1, 2))
            for x, y in zip(network.features(a), network.features(b), strict=True)
        ]
    ).mean(dim=0)
    torch.testing.assert_close(distance(taps(a), taps(b)), expected)


@pytest.mark.parametrize(
    ("name", "file"), [("alex", "alexnet-owt-7be5be79.pth"), ("vgg", "vgg16-397923af.pth")]
)
def test_distance_of_taps_equals_lpips(
    weights_folder: Path, name: Literal["alex", "vgg"], file: str
) -> None:
    reference = random_lpips(name)
    trunk = {"classifier.0.weight": torch.zeros(1)}  # torchvision's files hold the classifier too
    for key, value in reference.net.state_dict().items():
        trunk[key.replace(key.split(".")[0], "features")] = value
    torch.save(trunk, weights_folder / file)

    state = torch.random.get_rng_state()
    taps = LPIPSTaps(name)
    assert torch.random.get_rng_state().equal(state)

    a, b = (random_images(2, 2, 3, 64, 48) / 127.5 - 1).unbind()
    expected = reference(a, b).flatten()
    torch.testing.assert_close(distance(taps(a), taps(b)), expected, rtol=1e-5, atol=0)
    assert not any(p.requires_grad for p in taps.parameters())


@pytest.mark.parametrize(
    ("name", "file"), [("alex", "alexnet-owt"), ("vgg", "vgg16"), ("inception", "inception-2015")]
)
def test_missing_weights_name_the_file_and_the_remedy(
    weights_folder: Path, name: Literal["alex", "vgg", "inception"], file: str
) -> None:
    with pytest.raises(MissingWeightsError, match=rf"(?s){file}.*toy"):
        build_features(name) if name == "inception" else build_taps(name)
