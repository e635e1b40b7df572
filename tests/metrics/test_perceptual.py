from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.metrics.perceptual import LPIPSTaps, ToyTaps, Trunk, Version, build_taps
from semsynth.weights import MissingWeightsError, load_segmenter

from .conftest import reference_lpips

pytestmark = pytest.mark.filterwarnings("ignore:.*bytes, not the:UserWarning")  # random trunks


def two_images(height: int = 64, width: int = 48) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (2, 2, 3, height, width), generator=generator)
    a, b = (pixels / 127.5 - 1).unbind()
    return a, b


@pytest.mark.parametrize("version", ["0.0", "0.1"])
@pytest.mark.parametrize("trunk", ["alex", "vgg"])
def test_distance_equals_lpips(random_trunks: Path, trunk: Trunk, version: Version) -> None:
    state = torch.random.get_rng_state()
    taps = LPIPSTaps(trunk, version)
    assert torch.random.get_rng_state().equal(state)
    a, b = two_images()
    expected = reference_lpips(trunk, version)(a, b).flatten()
    torch.testing.assert_close(taps.distance(a, b).float(), expected, rtol=1e-5, atol=0)
    assert not any(p.requires_grad for p in taps.parameters())


def test_toy_distance_is_that_of_unit_vectors_averaged_over_taps(toy_assets: Path) -> None:
    a, b = two_images(16, 24)
    network = load_segmenter("toy_street")
    expected = torch.stack(
        [
            (F.normalize(x) - F.normalize(y)).square().sum(dim=1).mean(dim=(1, 2))
            for x, y in zip(network.features(a), network.features(b), strict=True)
        ]
    ).mean(dim=0)
    torch.testing.assert_close(ToyTaps("toy_street").distance(a, b).float(), expected)


def test_images_are_rounded_to_bytes_first(toy_assets: Path) -> None:
    taps, (a, b) = ToyTaps("toy_street"), two_images(16, 16)
    assert taps.distance(a + 0.4 / 127.5, b).equal(taps.distance(a, b))


def test_autocast_and_train_mode_change_nothing(toy_assets: Path) -> None:
    taps, (a, b) = ToyTaps("toy_street"), two_images(16, 16)
    before = taps.distance(a, b)
    taps.train()
    with torch.autocast("cpu", torch.bfloat16):
        assert taps.distance(a, b).equal(before)


def test_protocol_tells_versions_apart(random_trunks: Path) -> None:
    cards = [LPIPSTaps("alex", version).protocol() for version in ("0.0", "0.1")]
    assert [card["version"] for card in cards] == ["0.0", "0.1"]
    assert [card["network"] for card in cards] == ["lpips_alex_v0.0", "lpips_alex"]
    assert len(cards[0]["sha256"]) == 64


@pytest.mark.parametrize(("name", "file"), [("alex", "alexnet-owt"), ("vgg", "vgg16")])
def test_missing_weights_name_the_file_and_the_remedy(
    weights_folder: Path, name: str, file: str
) -> None:
    with pytest.raises(MissingWeightsError, match=rf"(?s){file}.*toy features"):
        build_taps(name)
