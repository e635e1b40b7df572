from itertools import combinations
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.metrics import ClassDiversity
from semsynth.metrics.class_diversity import weights_within
from semsynth.metrics.perceptual import build_taps

from .conftest import NUM_CLASSES, reference_lpips

pytestmark = pytest.mark.filterwarnings("ignore:.*bytes, not the:UserWarning")  # random trunks


def two_halves(num_masks: int, height: int = 16, width: int = 24) -> Tensor:
    mask = torch.zeros(num_masks, height, width, dtype=torch.int64)
    mask[:, :, width // 3 :] = 1
    return mask


def varied_images(mask: Tensor, which: Tensor, num_images: int = 3) -> Tensor:
    """Images in which only the pixels of one class are resampled."""
    generator = torch.Generator().manual_seed(0)
    shape = (len(mask), num_images, 3, *mask.shape[1:])
    noise = torch.randint(0, 256, shape, generator=generator) / 127.5 - 1
    inside = (mask == which[:, None, None])[:, None, None]
    return torch.where(inside, noise, noise[:, :1])


def spatial_map(taps_a: list[Tensor], taps_b: list[Tensor], size: tuple[int, int]) -> Tensor:
    """LPIPS' map of distances (B, H, W): each tap's own, enlarged and added up."""
    maps = [(a - b).square().sum(dim=1, keepdim=True) for a, b in zip(taps_a, taps_b, strict=True)]
    large = [F.interpolate(m, size, mode="bilinear", align_corners=False) for m in maps]
    return torch.stack(large).sum(dim=0)[:, 0]


def test_scores_are_means_of_the_spatial_map_in_and_outside_the_class(toy_assets: Path) -> None:
    mask, which = two_halves(4), torch.tensor([0, 1, 1, 0])
    varied = varied_images(mask, which)
    metric = ClassDiversity("toy_street", NUM_CLASSES)
    metric.update(varied, which, mask)
    network = build_taps("toy_street")
    maps = torch.stack(
        [
            spatial_map(network(varied[:, i]), network(varied[:, j]), (16, 24))
            for i, j in combinations(range(3), 2)
        ]
    ).mean(dim=0)
    inside = mask == which[:, None, None]
    csd, ocd = ((maps * r).sum(dim=(1, 2)) / r.sum(dim=(1, 2)) for r in (inside, ~inside))
    scores = metric.compute()
    assert scores["mCSD_toy_spatial"].item() == pytest.approx(csd.mean().item(), rel=1e-5)
    assert scores["mOCD_toy_spatial"].item() == pytest.approx(ocd.mean().item(), rel=1e-5)
    assert scores["mOCD_mCSD_toy_spatial"].item() == pytest.approx(
        (ocd.mean() / csd.mean()).item(), rel=1e-5
    )


def test_spatial_map_equals_that_of_lpips(random_trunks: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        a, b = (torch.randint(0, 256, (2, 1, 3, 40, 48)) / 127.5 - 1).unbind()
    reference = reference_lpips("alex")
    reference.spatial = True
    network = build_taps("alex")
    torch.testing.assert_close(
        spatial_map(network(a), network(b), (40, 48)), reference(a, b)[:, 0], rtol=1e-4, atol=1e-7
    )


def test_masked_scores_are_distances_of_images_with_the_rest_painted_grey(toy_assets: Path) -> None:
    mask, which = two_halves(2), torch.tensor([0, 1])
    varied = varied_images(mask, which, num_images=2)
    metric = ClassDiversity("toy_street", NUM_CLASSES, region="masked")
    metric.update(varied, which, mask)
    network = build_taps("toy_street")
    inside = (mask == which[:, None, None])[:, None]
    expected = network.distance(varied[:, 0] * inside, varied[:, 1] * inside).mean()
    scores = metric.compute()
    assert scores["mCSD_toy_masked"].item() == pytest.approx(expected.item(), rel=1e-6)
    assert scores["mOCD_toy_masked"].item() < 1e-12  # outside nothing differs


def test_classes_count_alike_however_many_masks_hold_them(toy_assets: Path) -> None:
    mask = two_halves(4)
    which = torch.tensor([0, 1, 1, 1])
    varied = varied_images(mask, which)
    metric = ClassDiversity("toy_street", NUM_CLASSES)
    metric.update(varied, which, mask)
    alone = []
    for c in (0, 1):
        metric_of_class = ClassDiversity("toy_street", NUM_CLASSES)
        rows = which == c
        metric_of_class.update(varied[rows], which[rows], mask[rows])
        alone.append(metric_of_class.compute()["mCSD_toy_spatial"].item())
    assert metric.compute()["mCSD_toy_spatial"].item() == pytest.approx(sum(alone) / 2)


def test_levels_have_scores_of_their_own(toy_assets: Path) -> None:
    mask, which = two_halves(3), torch.tensor([0, 0, 0])
    metric = ClassDiversity("toy_street", NUM_CLASSES, num_levels=2)
    varied = varied_images(mask, which)
    levels = {"varied_level0": varied[:, :2], "varied_level1": varied[:1].expand_as(varied)}
    metric.update(varied, which, mask, **levels)
    alone = ClassDiversity("toy_street", NUM_CLASSES)
    alone.update(levels["varied_level1"], which, mask)
    scores = metric.compute()
    for name, score in alone.compute().items():
        assert scores[f"{name}_level1"] == score != scores[name]
    assert len(scores) == 3 * 3


def test_small_classes_do_not_count(toy_assets: Path) -> None:
    mask = torch.zeros(2, 16, 16, dtype=torch.int64)
    mask[0, 0, 0] = 1  # less than one in a hundred
    metric = ClassDiversity("toy_street", NUM_CLASSES)
    which = torch.tensor([1, 0])  # the second leaves nothing outside
    metric.update(varied_images(mask, which), which, mask)
    assert metric.compute() == {}


@pytest.mark.parametrize("size", [(16, 24), (8, 12), (5, 3), (1, 1)])
def test_weights_give_the_mean_of_the_enlarged_map(size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    region = torch.rand(3, 16, 24, generator=generator) < 0.3
    region[2] = False
    small = torch.rand(3, 1, *size, generator=generator)
    large = F.interpolate(small, (16, 24), mode="bilinear", align_corners=False)[:, 0]
    expected = (large * region).sum(dim=(1, 2)) / region.sum(dim=(1, 2)).clamp(min=1)
    weights = weights_within(region, size)
    assert (weights >= 0).all()
    torch.testing.assert_close((small * weights).mean(dim=(1, 2, 3)), expected)


def test_errors_say_what_is_wrong(toy_assets: Path) -> None:
    mask, which = two_halves(1), torch.tensor([NUM_CLASSES])
    metric = ClassDiversity("toy_street", NUM_CLASSES)
    varied = torch.zeros(1, 2, 3, 16, 24)
    with pytest.raises(ValueError, match=r"varied_class must be in 0\.\.7, got 8\.\.8"):
        metric.update(varied, which, mask)
    with pytest.raises(ValueError, match="differ in size"):
        metric.update(varied, which, mask[:, :4])
