import torch

from semsynth.export.copies import NearestPhoto


def test_a_copy_is_found_and_named_though_it_is_mirrored() -> None:
    torch.manual_seed(0)
    photos = torch.randint(256, (3, 3, 64, 64), dtype=torch.uint8)
    find = NearestPhoto(photos, ["a", "b", "c"], torch.device("cpu"))
    distance, names = find(torch.cat([photos[[2, 0]], photos[1:2].flip(-1)]))
    assert distance.max() < 1e-3
    assert names == ["c", "a", "b"]


def test_distance_is_that_of_colours() -> None:
    black = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    find = NearestPhoto(black, ["black"], torch.device("cpu"))
    distance, _ = find(torch.full_like(black, 51))
    torch.testing.assert_close(distance, torch.tensor([0.2]))
