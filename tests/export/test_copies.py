import torch

from semsynth.export.copies import NearestPhoto


def photos() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randint(256, (3, 3, 64, 64), dtype=torch.uint8)


def nearest(image: torch.Tensor) -> tuple[torch.Tensor, list[str]]:
    return NearestPhoto(photos(), ["a", "b", "c"], torch.device("cpu"))(image)


def test_a_copy_is_found_and_named() -> None:
    distance, names = nearest(photos()[[2, 0]])
    assert distance.max() < 1e-3
    assert names == ["c", "a"]


def test_a_mirrored_copy_is_a_copy() -> None:
    distance, names = nearest(photos()[1:2].flip(-1))
    assert distance.max() < 1e-3
    assert names == ["b"]


def test_distance_is_that_of_colours() -> None:
    black = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    find = NearestPhoto(black, ["black"], torch.device("cpu"))
    distance, _ = find(torch.full_like(black, 51))
    torch.testing.assert_close(distance, torch.tensor([0.2]))
