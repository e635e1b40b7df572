from pathlib import Path

import torch
from torch import Tensor

from semsynth.metrics import KernelDistance
from semsynth.metrics.features import build_features
from semsynth.metrics.rows import image_keys


def images(num: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (num, 3, 16, 24), generator=generator) / 127.5 - 1


def test_keys_are_the_same_in_any_batch_and_differ_between_images() -> None:
    all_images = images(50)
    keys = image_keys(all_images)
    assert keys.equal(torch.cat([image_keys(image[None]) for image in all_images]))
    assert len(keys.unique()) == 50


def test_images_that_differ_by_little_keep_their_place() -> None:
    before = images(50)
    after = before.clone()
    after[:, 0, 0, 0] = (after[:, 0, 0, 0] + 1 / 127.5).clamp(max=1)
    assert image_keys(before).argsort().equal(image_keys(after).argsort())
    assert not image_keys(before).equal(image_keys(after))


def test_rows_are_the_features_in_the_order_of_the_keys(toy_assets: Path) -> None:
    fake, real = images(7), images(12)[7:]
    metric = KernelDistance("toy_street")
    for i in range(5):
        metric.update(image=real[i : i + 1], fake=fake[2 * i : 2 * i + 2] if i < 4 else fake[:0])
    extractor = build_features("toy_street")
    for rows, of in zip(metric.rows(), (fake, real), strict=True):
        expected = extractor.features_of(of)[image_keys(of).argsort()]
        torch.testing.assert_close(rows, expected)
