import torch

from semsynth.networks.fewshot.views import make_views, turn

IDENTITY = torch.arange(256)


def photos() -> tuple[torch.Tensor, torch.Tensor]:
    """A bright bar of class 3 that stands upright, on the left; noise elsewhere."""
    torch.manual_seed(0)
    mask = torch.randint(2, (2, 32, 32))
    mask[:, 4:28, 8:11] = 3
    image = torch.where(mask == 3, 0.9, -0.9)[:, None].expand(-1, 3, -1, -1)
    return image, mask


def test_the_photos_themselves_come_first_and_unchanged() -> None:
    image, mask = photos()
    images, masks = make_views(image, mask, IDENTITY)
    assert images.shape == (12, 3, 32, 32)
    assert masks.shape == (12, 32, 32)
    assert torch.equal(images[:2], image)
    assert torch.equal(masks[:2], mask)
    assert len(masks.flatten(1).unique(dim=0)) == 12


def test_label_maps_move_with_their_photos() -> None:
    images, masks = make_views(*photos(), IDENTITY)
    inside = images.mean(1) > 0
    assert ((masks == 3) == inside).float().mean() > 0.97


def test_the_mirror_exchanges_classes_of_left_and_right() -> None:
    image, mask = photos()
    lookup = IDENTITY.clone()
    lookup[[0, 1]] = lookup[[1, 0]]
    _, masks = make_views(image, mask, lookup)
    swapped = torch.where(mask == 3, mask, 1 - mask)
    assert torch.equal(masks[6:8], swapped.flip(-1))


def test_a_quarter_turn_is_clockwise_and_exact() -> None:
    image, mask = photos()
    turned, labels = turn(image, mask, torch.pi / 2)
    assert torch.equal(labels, mask.rot90(-1, (1, 2)))
    torch.testing.assert_close(turned, image.rot90(-1, (2, 3)), atol=1e-4, rtol=0)


def test_turning_keeps_distances_in_photos_that_are_not_square() -> None:
    mask = torch.zeros(1, 32, 64, dtype=torch.int64)
    mask[0, 16, 12:52] = 1  # 40 pixels long
    _, labels = turn(torch.zeros(1, 3, 32, 64), mask, torch.pi / 6)
    y, x = labels[0].nonzero().float().unbind(1)
    length = torch.hypot(x.max() - x.min(), y.max() - y.min())
    assert abs(length - 40) < 2
    assert abs(torch.atan2(y.max() - y.min(), x.max() - x.min()) - torch.pi / 6) < 0.06
