import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.methods.segmenter import Segmenter
from semsynth.metrics.segmenters import IMAGENET_MEAN, IMAGENET_STD, FrozenSegmenter
from semsynth.networks.trunk_unet import Trunk
from semsynth.weights import MissingWeightsError, load_segmenter
from tests.helpers.checks import quiet_trainer

from .conftest import Colours

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")  # a user's format
IMAGES = torch.randint(
    0, 256, (2, 3, 64, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)


def normalised(mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    return (IMAGES / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


def test_toy_segmenter_sees_images_in_minus_one_to_one(toy_assets: Path) -> None:
    expected = load_segmenter("toy_street")(IMAGES / 127.5 - 1).argmax(dim=1)
    assert FrozenSegmenter("toy_street")(IMAGES).equal(expected)
    path = toy_assets / "toy_street_segmenter.safetensors"
    assert FrozenSegmenter(str(path))(IMAGES).equal(expected)


@pytest.mark.parametrize("trunk", [None, "efficientnet-lite0"])
def test_checkpoint_of_the_method_is_a_segmenter(trunk: Trunk | None, tmp_path: Path) -> None:
    method = Segmenter(num_classes=4, channels=4, depth=2, trunk=trunk).eval()
    trainer = quiet_trainer(tmp_path)
    trainer.strategy.connect(method)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    state = torch.random.get_rng_state()
    segmenter = FrozenSegmenter(str(tmp_path / "last.ckpt"))
    assert torch.random.get_rng_state().equal(state)
    with torch.no_grad():
        assert segmenter(IMAGES).equal(method(IMAGES / 127.5 - 1).argmax(dim=1))
    assert segmenter.num_classes == 4


def test_checkpoint_of_another_method_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"generator.weight": torch.zeros(1)}}, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match="is not a checkpoint of the method Segmenter"):
        FrozenSegmenter(str(tmp_path / "last.ckpt"))


def test_logits_of_a_torchscript_file_are_enlarged_to_the_image(colours: str) -> None:
    segmenter = FrozenSegmenter(colours, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    small = F.avg_pool2d(normalised(IMAGENET_MEAN, IMAGENET_STD), 2)
    expected = F.interpolate(small, (64, 96), mode="bilinear").argmax(dim=1)
    assert segmenter.num_classes == 3
    assert segmenter(IMAGES).equal(expected)
    assert segmenter.protocol()["mean"] == pytest.approx(IMAGENET_MEAN)
    assert not any(p.requires_grad for p in segmenter.parameters())


def test_scales_and_flip_add_logits_up(colours: str) -> None:
    def logits(size: tuple[int, int]) -> Tensor:
        seen = F.interpolate(IMAGES.float(), size, mode="bicubic", antialias=True).clamp(0, 255)
        seen = seen / 127.5 - 1
        both = Colours()(seen) + Colours()(seen.flip(3)).flip(3)
        return F.interpolate(both, (64, 96), mode="bilinear")

    segmenter = FrozenSegmenter(colours, input_size=(32, 32), scales=(1.0, 1.5), flip=True)
    expected = (logits((32, 32)) + logits((48, 48))).argmax(dim=1)
    assert (segmenter(IMAGES) == expected).float().mean() > 0.999  # ties may fall either way
    card = segmenter.protocol()
    assert (card["input_size"], card["scales"], card["flip"]) == ([32, 32], [1.0, 1.5], True)


def test_network_of_segmentation_models_pytorch(tmp_path: Path) -> None:
    smp = pytest.importorskip("segmentation_models_pytorch")
    torch.manual_seed(0)
    network = smp.Unet("resnet18", encoder_weights=None, classes=4).eval()
    network.save_pretrained(tmp_path)
    segmenter = FrozenSegmenter(f"smp:{tmp_path}")
    with torch.no_grad():
        expected = network(normalised(IMAGENET_MEAN, IMAGENET_STD)).argmax(dim=1)
    assert segmenter(IMAGES).equal(expected)
    assert segmenter.num_classes == 4


def test_semantic_network_of_transformers_with_its_own_mean_and_deviation(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.SegformerConfig(
        depths=[1, 1], hidden_sizes=[8, 16], num_encoder_blocks=2, sr_ratios=[2, 1],
        patch_sizes=[3, 3], strides=[2, 2], num_attention_heads=[1, 2], mlp_ratios=[2, 2],
        decoder_hidden_size=8, num_labels=4,
    )  # fmt: skip
    network = transformers.SegformerForSemanticSegmentation(config).eval()
    network.save_pretrained(tmp_path)
    mean, std = (0.3, 0.4, 0.5), (0.1, 0.2, 0.3)
    processor = f'{{"image_mean": {list(mean)}, "image_std": {list(std)}}}'
    (tmp_path / "preprocessor_config.json").write_text(processor)
    with torch.no_grad():
        logits = network(normalised(mean, std)).logits
    expected = F.interpolate(logits, (64, 96), mode="bilinear").argmax(dim=1)
    segmenter = FrozenSegmenter(f"hf:{tmp_path}")
    assert segmenter(IMAGES).equal(expected)
    assert segmenter.num_classes == 4


def test_universal_network_of_transformers_weighs_its_masks(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    backbone = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], layer_type="basic",
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    decoder = transformers.DetrConfig(
        d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, num_queries=5,
    )  # fmt: skip
    config = transformers.MaskFormerConfig(
        backbone_config=backbone, decoder_config=decoder, fpn_feature_size=32,
        mask_feature_size=32, num_labels=3,
    )  # fmt: skip
    network = transformers.MaskFormerForInstanceSegmentation(config).eval()
    network.save_pretrained(tmp_path)
    segmenter = FrozenSegmenter(f"hf:{tmp_path}")
    with torch.no_grad():
        output = network(normalised(IMAGENET_MEAN, IMAGENET_STD))
    processor = transformers.MaskFormerImageProcessor()
    maps = processor.post_process_semantic_segmentation(output, [(64, 96)] * 2)
    assert segmenter.num_classes == 3
    assert (segmenter(IMAGES) == torch.stack(maps)).float().mean() > 0.999


@pytest.mark.parametrize("kind", ["smp", "hf"])
def test_missing_network_of_the_hub_is_named_at_once(kind: str) -> None:
    with pytest.raises(MissingWeightsError, match=r"(?s)no-one/nothing.*give it a toy segmenter"):
        FrozenSegmenter(f"{kind}:no-one/nothing")


@pytest.mark.parametrize("name", ["torchscript:/no/such.pt", "/no/such.ckpt"])
def test_missing_file_is_named(name: str) -> None:
    with pytest.raises(MissingWeightsError, match=r"no/such"):
        FrozenSegmenter(name)


def test_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModuleNotFoundError, match=r"transformers.*semsynth\[metrics\]"):
        FrozenSegmenter("hf:anything")
