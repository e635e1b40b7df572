import torch

from semsynth.networks.pair_augmentation import augment_pairs, jitter_colours, random_affine


def test_image_and_mask_move_together() -> None:
    torch.manual_seed(0)
    mask = torch.zeros(8, 32, 32, dtype=torch.int64)
    mask[:, 8:20, 4:14] = 3
    image = torch.where(mask == 3, 0.8, -0.8)[:, None].expand(-1, 3, -1, -1)
    moved, labels = augment_pairs(image, mask)
    inside = moved.mean(1) > moved.mean((1, 2, 3))[:, None, None]
    assert ((labels == 3) == inside).float().mean() > 0.97
    assert labels.dtype == mask.dtype
    assert (labels != mask).any()


def test_only_labels_that_were_there_come_out() -> None:
    torch.manual_seed(0)
    mask = torch.tensor([1, 7, 255])[torch.randint(3, (4, 16, 16))]
    _, labels = augment_pairs(torch.zeros(4, 3, 16, 16), mask)
    assert set(labels.unique().tolist()) <= {1, 7, 255}


def test_without_flip_no_sample_is_mirrored() -> None:
    torch.manual_seed(0)
    device = torch.device("cpu")
    assert (random_affine(64, False, device)[:, 0, 0] > 0).all()
    mirrored = (random_affine(64, True, device)[:, 0, 0] < 0).sum()
    assert 16 < mirrored < 48


def test_samples_get_colours_of_their_own() -> None:
    torch.manual_seed(0)
    image = torch.tensor([0.5, -0.2, 0.1]).view(1, 3, 1, 1).expand(4, -1, 8, 8)
    colours = jitter_colours(image).mean((2, 3))
    assert torch.cdist(colours, colours).fill_diagonal_(1).min() > 0.02
