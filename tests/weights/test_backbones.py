from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from semsynth.networks.timm_backbone import TimmBackbone
from semsynth.networks.unet import UNet
from semsynth.weights import MissingWeightsError, load_segmenter
from semsynth.weights.backbones import build_backbone, load_backbone


def test_toy_backbone_is_the_segmenter_of_its_name(toy_segmenter: None) -> None:
    backbone = build_backbone("toy_street")
    assert isinstance(backbone, UNet)
    load_backbone("toy_street", backbone)
    image = torch.randn(1, 3, 16, 16)
    expected = load_segmenter("toy_street").features(image)
    torch.testing.assert_close(backbone.eval().features(image), expected)


def test_timm_backbone_has_the_weights_of_the_classifier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    create: Any = timm.create_model
    classifier = create("tf_efficientnet_lite0", num_classes=1000).eval()
    save_file(classifier.state_dict(), tmp_path / "model.safetensors")
    monkeypatch.setattr(
        "semsynth.weights.hub.find_network", lambda *_: tmp_path / "model.safetensors"
    )
    backbone = build_backbone("timm:tf_efficientnet_lite0")
    assert isinstance(backbone, TimmBackbone)
    load_backbone("timm:tf_efficientnet_lite0", backbone)
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    taps = backbone.eval().features(image)
    assert [tap.shape[1] for tap in taps] == list(backbone.feature_channels)
    assert taps[0].shape[2:] == (32, 32)  # the finest is as large as the image
    enlarged = torch.nn.functional.interpolate(image, scale_factor=2, mode="bilinear")
    stem = classifier.bn1(classifier.conv_stem(enlarged))  # trained with images in [-1, 1]
    torch.testing.assert_close(taps[0], classifier.blocks[0](stem), atol=1e-5, rtol=1e-4)


def test_missing_weights_of_timm_are_named_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEMSYNTH_WEIGHTS", str(tmp_path))
    monkeypatch.setattr("semsynth.weights.store.locate", lambda name: None)
    backbone = build_backbone("timm:tf_efficientnet_lite0")
    with pytest.raises(MissingWeightsError, match=r"--model\.discriminator segmentation"):
        load_backbone("timm:tf_efficientnet_lite0", backbone)


def test_unknown_backbones_are_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(
        MissingWeightsError, match=r"no_such.* toy_street, toy_portrait.*timm:MODEL"
    ):
        build_backbone("no_such")
