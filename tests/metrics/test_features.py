import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from cleanfid.inception_torchscript import InceptionV3W
from cleanfid.resize import build_resizer
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from semsynth.images import to_uint8
from semsynth.metrics import features
from semsynth.metrics.features import (
    InceptionClean,
    InceptionFID,
    TimmFeatures,
    ToyFeatures,
    build_features,
    resize_bicubic,
)
from semsynth.networks.inception import Inception
from semsynth.weights import PACKAGES, MissingWeightsError, hub, load_segmenter
from semsynth.weights.cards import write_weights

from .conftest import randomise

pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning"),  # Inception's format
    pytest.mark.filterwarnings("ignore:.*bytes, not the:UserWarning"),  # small files in its place
]
TINY_VIT = "test_vit.r160_in1k"


def random_images(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(1)).to(torch.uint8)


def cleanfid_resize(images: Tensor) -> Tensor:
    resize = build_resizer("clean")
    rows = [resize(image.permute(1, 2, 0).numpy()) for image in images]
    return torch.from_numpy(np.stack(rows)).permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    ("height", "width"), [(101, 67), (64, 64), (299, 299), (333, 1023), (256, 512), (1031, 517)]
)
def test_resize_equals_cleanfid(height: int, width: int) -> None:
    images = random_images(2, 3, height, width)  # noise is the worst case: photos differ by less
    torch.testing.assert_close(
        resize_bicubic(images, (299, 299)), cleanfid_resize(images), rtol=0, atol=0.01
    )


def test_resize_equals_cleanfid_on_photos() -> None:
    folder = os.environ.get("SEMSYNTH_TEST_PHOTOS")
    if not folder:
        pytest.skip("SEMSYNTH_TEST_PHOTOS names no folder of photos")
    files = sorted(f for f in Path(folder).rglob("*") if f.suffix in (".jpg", ".png"))[:8]
    assert files
    for i, file in enumerate(files):
        photo = Image.open(file).convert("RGB")
        photo = photo.crop((0, 0, photo.width - i, photo.height - 2 * i - 1))  # odd sizes
        image = torch.from_numpy(np.array(photo)).permute(2, 0, 1)[None]
        torch.testing.assert_close(
            resize_bicubic(image, (299, 299)), cleanfid_resize(image), rtol=0, atol=0.01
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
    extractor = InceptionClean(inception_file)
    features = extractor(images)
    assert features.shape == (3, extractor.dim)
    assert features.dtype == torch.float32
    torch.testing.assert_close(features, reference(cleanfid_resize(images)), rtol=0, atol=1e-5)
    named = build_features("inception").train()
    assert named is build_features("inception-clean")
    assert not any(p.requires_grad for p in named.parameters())
    assert not any(m.training for m in named.modules())
    assert named.features_of(torch.zeros(0, 3, 8, 8)).shape == (0, 2048)


def test_inception_fid_features_equal_torch_fidelity(
    weights_folder: Path, no_initialisation: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    file = weights_folder / "weights.pth"
    torch.save({}, file)
    with monkeypatch.context() as patch:
        patch.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        reference = module.FeatureExtractorInceptionV3("inception", ["2048"], str(file))
    randomise(reference)
    torch.save(reference.state_dict(), file)
    state = torch.random.get_rng_state()
    extractor = InceptionFID(file)
    assert torch.random.get_rng_state().equal(state)
    images = random_images(2, 3, 40, 50)
    torch.testing.assert_close(extractor(images), reference(images)[0])
    assert extractor(images).shape == (2, extractor.dim)
    assert not any(p.requires_grad for p in extractor.parameters())


def test_inception_fid_refuses_a_file_that_runs_code(tmp_path: Path) -> None:
    torch.save({"weights": Path("anything")}, tmp_path / "weights.pth")
    with pytest.raises(Exception, match="weights_only"):
        InceptionFID(tmp_path / "weights.pth")


def test_inception_out_of_a_package_has_the_features_of_torch_fidelity(
    weights_folder: Path, no_initialisation: None
) -> None:
    network = randomise(Inception()).eval()
    path = weights_folder / PACKAGES["inception-fid-helper"].file
    write_weights(network.state_dict(), path, {"source": {"package": "any==1"}})
    square = random_images(2, 3, 299, 299)
    for name in ("inception-clean", "inception-fid"):
        extractor = build_features(name)
        torch.testing.assert_close(extractor(square), network(square)[0])
        assert extractor.protocol()["file"] == path.name
        assert extractor.protocol()["source"] == {"package": "any==1"}
        assert not any(p.requires_grad for p in extractor.parameters())


def test_timm_model_out_of_a_package_is_found_by_its_name(
    weights_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    path = weights_folder / PACKAGES["efficientnet-lite0"].file
    model: Any = timm.create_model("tf_efficientnet_lite0", num_classes=1000).eval()
    save_file(model.state_dict(), path)
    extractor = build_features("timm:tf_efficientnet_lite0")
    assert isinstance(extractor, TimmFeatures)
    assert extractor.file == path
    stem = extractor.network.get_submodule("conv_stem").get_parameter("weight")
    assert stem.equal(model.conv_stem.weight)
    assert (extractor.mean == 127.5).all()  # what these networks were trained with


@pytest.fixture
def timm_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny vision transformer of timm with random weights, in place of the hub."""
    torch.manual_seed(0)
    save_file(timm.create_model(TINY_VIT).state_dict(), tmp_path / "model.safetensors")
    monkeypatch.setattr(hub, "find_network", lambda *_: tmp_path / "model.safetensors")
    return tmp_path


def test_timm_features_are_those_of_the_model_without_classifier(timm_folder: Path) -> None:
    extractor = build_features(f"timm:{TINY_VIT}")
    assert isinstance(extractor, TimmFeatures)
    torch.manual_seed(0)
    reference: Any = timm.create_model(TINY_VIT).eval()
    images = random_images(2, 3, 50, 70)
    mean, std = (
        torch.tensor(reference.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std")
    )
    inputs = (resize_bicubic(images, (160, 160)) / 255 - mean) / std
    with torch.no_grad():
        expected = reference.forward_head(reference.forward_features(inputs), pre_logits=True)
    torch.testing.assert_close(extractor(images), expected, rtol=1e-4, atol=1e-5)
    assert extractor.dim == expected.shape[1]
    assert extractor.label == "test_vit_r160_in1k"


def test_size_after_the_name_is_the_input_size_of_a_vision_transformer(timm_folder: Path) -> None:
    extractor = build_features(f"timm:{TINY_VIT}@96")
    assert extractor.input_size == (96, 96)
    assert extractor(random_images(1, 3, 20, 20)).shape == (1, extractor.dim)
    assert extractor.protocol()["input_size"] == [96, 96]


def test_dinov2_is_its_large_model_at_224(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Recorder(nn.Module):
        def __init__(self, *arguments: object) -> None:
            super().__init__()
            asked.append(arguments)

    monkeypatch.setattr(hub, "find_network", lambda *names: Path(names[0]))
    monkeypatch.setattr(features, "TimmFeatures", Recorder)
    build_features("dinov2")
    file = Path("timm/vit_large_patch14_dinov2.lvd142m")
    assert asked == [("vit_large_patch14_dinov2.lvd142m@224", "dinov2", file)]


@pytest.mark.parametrize("name", ["timm:no_such_model", "timm:vit_small_patch36_224_nothing"])
def test_unknown_timm_model_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"no pretrained model.*inception-clean"):
        build_features(name)


def test_toy_features_are_spatial_means_of_the_encoder(toy_assets: Path) -> None:
    images = random_images(2, 3, 20, 28)
    extractor = ToyFeatures("toy_street")
    taps = load_segmenter("toy_street").features(images / 127.5 - 1)
    expected = torch.cat([tap.flatten(2).mean(dim=2) for tap in taps], dim=1)
    assert extractor.dim == 4 + 8 + 16
    torch.testing.assert_close(extractor(images), expected)


def test_autocast_and_train_mode_change_nothing(toy_assets: Path) -> None:
    extractor, images = ToyFeatures("toy_street"), random_images(2, 3, 16, 16)
    before = extractor(images)
    extractor.train()
    with torch.autocast("cpu", torch.bfloat16):
        after = extractor(images)
    torch.testing.assert_close(after, before, rtol=0, atol=0)


@pytest.fixture
def calls(toy_assets: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of images that a toy extractor has seen, call by call."""
    seen: list[int] = []
    forward: Callable[[ToyFeatures, Tensor], Tensor] = ToyFeatures.forward

    def count(self: ToyFeatures, images: Tensor) -> Tensor:
        seen.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(ToyFeatures, "forward", count)
    return seen


def test_metrics_share_an_extractor_and_its_work(calls: list[int]) -> None:
    first, second = build_features("toy_street"), build_features("toy_street")
    assert first is second
    image = torch.rand(2, 3, 16, 16) * 2 - 1
    expected = first(to_uint8(image))
    with torch.inference_mode():
        assert second.features_of(image).equal(expected)
        assert first.features_of(image).equal(expected)
    assert len(calls) == 2


def test_image_that_has_changed_is_seen_anew(calls: list[int]) -> None:
    extractor, image = build_features("toy_street"), torch.rand(2, 3, 16, 16) * 2 - 1
    extractor.features_of(image)
    image.neg_()
    assert extractor.features_of(image).equal(extractor(to_uint8(image)))


def test_extractor_of_another_file_is_another(
    toy_assets: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build_features("toy_street")
    other = tmp_path_factory.mktemp("other")
    for file in toy_assets.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr("semsynth.weights.ASSETS", other)
    second = build_features("toy_street")
    assert second is not first
    assert second.protocol() == first.protocol()


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("inception", "inception-2015"),
        ("inception-clean", "inception-2015"),
        ("inception-fid", "6726825d"),
        (f"timm:{TINY_VIT}", "test_vit"),
        ("dinov2", "dinov2"),
        ("toy_moon", "toy_moon"),
    ],
)
def test_missing_weights_name_the_file_and_the_remedy_at_once(
    weights_folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, file: str
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(weights_folder))
    with pytest.raises(MissingWeightsError, match=rf"(?s){file}.*(toy extractor|Shipped)"):
        build_features(name)
