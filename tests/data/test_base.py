import pytest
import torch

from semsynth.data import DataError
from semsynth.data.base import instance_edges
from semsynth.data.toy import ToyStreet


def test_edges_equal_a_comparison_of_each_pixel_with_its_neighbours() -> None:
    instance = torch.randint(0, 3, (2, 7, 5))
    padded = torch.nn.functional.pad(instance[:, None].float(), (1,) * 4, mode="replicate")[:, 0]
    H, W = instance.shape[1:]
    shifts = ((0, 1), (2, 1), (1, 0), (1, 2))
    differs = [padded[:, y : y + H, x : x + W] != instance for y, x in shifts]
    expected = torch.stack(differs).any(0)
    assert torch.equal(instance_edges(instance), expected)


def test_bytes_become_what_methods_take() -> None:
    data = ToyStreet(image_size=32)
    raw = {
        "image": torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1),
        "mask": torch.tensor([[[255]]], dtype=torch.uint8),
        "instance": torch.tensor([[[70000]]], dtype=torch.int32),
        "index": torch.tensor([4]),
    }
    batch = data.on_after_batch_transfer(raw, 0)
    torch.testing.assert_close(batch["image"].flatten(), torch.tensor([-1, -0.6, 1]))
    assert (batch["mask"].dtype, batch["mask"].item()) == (torch.int64, 255)
    assert (batch["instance"].dtype, batch["instance"].item()) == (torch.int64, 70000)
    assert batch["edge"].dtype == torch.bool
    assert raw["mask"].dtype == torch.uint8


def test_images_in_floats_stay_as_they_are() -> None:
    image = torch.randn(1, 3, 2, 2)
    batch = {"image": image, "mask": torch.zeros(1, 2, 2, dtype=torch.int64)}
    assert ToyStreet(image_size=32).on_after_batch_transfer(batch, 0)["image"] is image


def test_samples_without_labels_are_photos() -> None:
    data = ToyStreet(image_size=32, train_size=2)
    sample = data.unlabelled_dataset()[1]
    assert sample.keys() == {"image", "index"}
    assert torch.equal(sample["image"], data.dataset("train")[1]["image"])


def test_split_with_fewer_samples_than_processes_is_refused() -> None:
    data = ToyStreet(image_size=32, train_size=4, val_size=2, test_size=4)
    data.setup("validate")
    assert len(data.val_dataloader()) == 1
    data._rank_and_world_size = lambda: (2, 3)  # type: ignore[method-assign]
    with pytest.raises(DataError, match="val split has 2 samples for 3 processes"):
        data.val_dataloader()
