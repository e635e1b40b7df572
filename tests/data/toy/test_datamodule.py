from typing import Any

import pytest
import torch
from torch import Tensor

from semsynth.data.base import Batch, Split
from semsynth.data.toy import ToyPortrait, ToyStreet

SIZES: dict[str, Any] = {"train_size": 6, "val_size": 4, "test_size": 4}
both_modules = pytest.mark.parametrize("module", [ToyPortrait, ToyStreet])
Module = type[ToyPortrait] | type[ToyStreet]


def small(module: Module, **arguments: int) -> ToyPortrait | ToyStreet:
    return module(**({"image_size": 32, "batch_size": 2, "eval_batch_size": 3} | SIZES | arguments))


def assert_same(a: Batch, b: Batch) -> None:
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)


@both_modules
def test_items_are_a_batch_of_the_project(module: Module) -> None:
    item = small(module).dataset("val")[1]
    shapes = {key: (tuple(value.shape), value.dtype) for key, value in item.items()}
    assert shapes == {
        "image": ((3, 32, 32), torch.float32),
        "mask": ((32, 32), torch.int64),
        "instance": ((32, 32), torch.int64),
        "index": ((), torch.int64),
    }
    assert item["index"] == 1


@both_modules
def test_a_second_read_renders_nothing_and_equals_the_first(
    module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = small(module)
    dataset = data.dataset("train")
    first, *_ = dataset.__getitems__([2, 0, 1])
    monkeypatch.setattr(type(data.world), "render", None)
    assert_same(first, dataset[2])
    assert_same(first, dataset.__getitems__([0, 2, 1])[1])


@both_modules
def test_items_of_a_batch_equal_items_one_by_one(module: Module) -> None:
    together, alone = (small(module).dataset("train") for _ in range(2))
    for position, item in zip([4, 0, 3], together.__getitems__([4, 0, 3]), strict=True):
        single = alone[position]
        assert torch.equal(item["mask"], single["mask"])
        torch.testing.assert_close(item["image"], single["image"], rtol=0, atol=1.01 / 127.5)


def test_splits_share_no_sample() -> None:
    data = small(ToyPortrait)
    splits: tuple[Split, ...] = ("train", "val", "test")
    images = [
        item["image"] for split in splits for item in map(data.dataset(split).__getitem__, range(4))
    ]
    assert len({image.numpy().tobytes() for image in images}) == 12


def test_a_sample_depends_on_the_seed_and_not_on_the_size_of_other_splits() -> None:
    one, larger, other = (
        small(ToyPortrait, **arguments).dataset("val")[3]
        for arguments in ({}, {"train_size": 600}, {"seed": 1})
    )
    assert_same(one, larger)
    assert not torch.equal(one["mask"], other["mask"])


@pytest.mark.parametrize("num_workers", [0, 2])
def test_loaders_give_every_sample_once_whatever_the_workers(num_workers: int) -> None:
    data = small(ToyStreet, num_workers=num_workers)
    data.setup("validate")
    batches: list[dict[str, Tensor]] = list(data.val_dataloader())
    assert torch.cat([batch["index"] for batch in batches]).tolist() == [0, 1, 2, 3]
    expected = small(ToyStreet).dataset("val")[3]
    assert torch.equal(batches[1]["mask"][0], expected["mask"])


@both_modules
def test_render_like_redraws_the_appearance_of_the_same_sample(module: Module) -> None:
    data = small(module)
    index = torch.tensor([3, 1])
    image = torch.stack([item["image"] for item in data.dataset("test").__getitems__([3, 1])])
    torch.testing.assert_close(
        data.render_like("test", index, data.seed), image, rtol=0, atol=1.01 / 127.5
    )
    assert (data.render_like("test", index, 7) - image).abs().mean() > 0.1


@both_modules
def test_render_like_redraws_one_class_alone(module: Module) -> None:
    data = small(module)
    index = torch.tensor([3, 1])
    mask = torch.stack([item["mask"] for item in data.dataset("test").__getitems__([3, 1])])
    classes = mask.flatten(1).mode().values  # the largest
    before = data.render_like("test", index, 7)
    change = (data.render_like("test", index, 7, (classes, 8)) - before).abs().sum(1)
    edge = torch.nn.functional.max_pool2d((mask == classes[:, None, None]).float(), 3, 1, 1)
    assert change[mask == classes[:, None, None]].mean() > 0.1
    assert change[edge == 0].max() == 0  # pixels at the edge are mixtures
