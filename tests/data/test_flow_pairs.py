from typing import Any

import pytest
import torch

from semsynth.data import ToyFlow, ToyPortrait
from semsynth.data.base import Batch, Split
from semsynth.data.toy import PortraitWorld

SIZES: dict[str, Any] = {"train_size": 64, "val_size": 4, "test_size": 4}
MOTION = ("flow", "log_expansion", "valid")


def small(**arguments: Any) -> ToyFlow:
    return ToyFlow(**({"image_size": 32} | SIZES | arguments))


def read(data: ToyFlow, indices: list[int], split: Split = "train") -> Batch:
    items = data.dataset(split).__getitems__(indices)
    return {key: torch.stack([item[key] for item in items]) for key in items[0]}


def test_items_have_both_images_and_the_motion() -> None:
    item = small().dataset("val")[1]
    shapes = {key: (tuple(value.shape), value.dtype) for key, value in item.items()}
    assert shapes == {
        "image": ((3, 32, 32), torch.float32),
        "mask": ((32, 32), torch.int64),
        "instance": ((32, 32), torch.int64),
        "index": ((), torch.int64),
        "target": ((3, 32, 32), torch.float32),
        "flow": ((2, 32, 32), torch.float32),
        "log_expansion": ((1, 32, 32), torch.float32),
        "valid": ((1, 32, 32), torch.bool),
    }


def test_a_pair_is_rendered_once_and_does_not_depend_on_the_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dataset, other = small().dataset("train"), small().dataset("train")
    together, alone = dataset.__getitems__([4, 0, 3]), other[0]
    monkeypatch.setattr(PortraitWorld, "render", None)
    for key, value in dataset[0].items():
        assert torch.equal(value, together[1][key])
        torch.testing.assert_close(value.float(), alone[key].float(), rtol=0, atol=1.01 / 127.5)


def test_without_noise_the_first_image_is_that_of_toy_portrait() -> None:
    image = ToyPortrait(image_size=32, **SIZES).dataset("val")[3]["image"]
    plain = small(noise=0.0, brightness=0.0).dataset("val")[3]
    assert torch.equal(plain["image"], image)


def test_valid_pixels_keep_their_colour_along_the_flow() -> None:
    batch = read(small(image_size=64, noise=0.0, brightness=0.0), list(range(16)))
    place = batch["flow"].round().long()
    pixels = torch.arange(64)
    x = (pixels + place[:, 0]).clamp(0, 63)
    y = (pixels[:, None] + place[:, 1]).clamp(0, 63)
    fetched = batch["target"][torch.arange(16).view(-1, 1, 1), :, y, x].permute(0, 3, 1, 2)
    moving = batch["valid"] & (batch["flow"].norm(dim=1, keepdim=True) > 1)
    error = (fetched - batch["image"]).abs().mean(1, keepdim=True)[moving].mean()
    unmoved = (batch["target"] - batch["image"]).abs().mean(1, keepdim=True)[moving].mean()
    assert error < 0.6 * unmoved


def test_motion_goes_from_less_than_half_a_pixel_to_ten_pixels() -> None:
    batch = read(small(image_size=64), list(range(64)))
    length = batch["flow"].norm(dim=1, keepdim=True)
    length = length[batch["valid"] & (length > 0.05)]
    few, half, most = length.quantile(torch.tensor([0.1, 0.5, 0.95])).tolist()
    assert few < 0.5 < half < 3 < most < 12


def test_noise_and_brightness_are_as_large_as_they_say_and_differ_between_the_images() -> None:
    indices = list(range(8))
    plain = read(small(noise=0.0, brightness=0.0), indices)
    noisy = read(small(noise=0.02, brightness=0.0), indices)
    change = [noisy[key] - plain[key] for key in ("image", "target")]
    inside = [plain[key].abs() < 0.8 for key in ("image", "target")]  # not clamped
    for c, i in zip(change, inside, strict=True):
        assert c[i].std().item() == pytest.approx(2 * 0.02, rel=0.05)
    both = inside[0] & inside[1]
    assert torch.corrcoef(torch.stack([c[both] for c in change]))[0, 1].abs() < 0.05
    bright = read(small(noise=0.0, brightness=0.1), indices)
    ratio = ((bright["image"] + 1) / (plain["image"] + 1))[plain["image"].abs() < 0.7]
    assert 0.05 < (ratio - 1).abs().max() < 0.15


def test_motion_does_not_depend_on_the_appearance_of_the_images() -> None:
    one, two = (read(small(noise=n), [0, 1]) for n in (0.0, 0.1))
    assert all(torch.equal(one[key], two[key]) for key in MOTION)


def test_splits_share_no_pair() -> None:
    data = small()
    splits: tuple[Split, ...] = ("train", "val", "test")
    flows = [data.dataset(split)[i]["flow"].numpy().tobytes() for split in splits for i in range(4)]
    assert len(set(flows)) == 12
