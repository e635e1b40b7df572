import math

import torch

from semsynth.networks.recolouring import class_means, recolour, rotate_hue, saturate


def sample() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    mask = torch.arange(4).repeat_interleave(2).expand(2, 8, 8).clone()
    return torch.rand(2, 3, 8, 8) * 2 - 1, mask


def test_strength_zero_changes_nothing() -> None:
    image, mask = sample()
    torch.testing.assert_close(recolour(image, mask, 4, 0.0), image)


def test_colours_of_classes_move_apart_from_each_other() -> None:
    image, mask = sample()
    image = torch.full_like(image, 0.2)  # one colour, which a change of the whole image would keep
    image[:, 0] = -0.3
    result = recolour(image, mask, 4, 1.0)
    colours = result[0, :, 0, ::2].T  # one for each class
    assert torch.cdist(colours, colours).fill_diagonal_(1).min() > 0.01
    for c in range(4):
        assert result[0][:, mask[0] == c].std(dim=1).max() < 1e-6


def test_pixels_without_a_label_are_a_class_of_their_own() -> None:
    image, mask = sample()
    mask[:, :, :2] = 255
    result = recolour(image, mask, 4, 1.0)
    assert result.isfinite().all()
    assert (result - image)[:, :, :, :2].abs().max() > 0.01


def test_a_third_of_a_turn_exchanges_the_channels() -> None:
    red = torch.tensor([1.0, 0.0, 0.0])
    turned = rotate_hue(torch.tensor(2 * math.pi / 3)) @ red
    assert sorted(turned.round(decimals=4).abs().tolist()) == [0, 0, 1]
    assert turned[0].abs() < 1e-5


def test_no_saturation_is_grey() -> None:
    grey = saturate(torch.tensor(0.0)) @ torch.tensor([0.9, 0.3, 0.0])
    torch.testing.assert_close(grey, torch.full((3,), 0.4))


def test_class_means_equal_those_of_a_loop() -> None:
    image, mask = sample()
    pixels = image.flatten(2).transpose(1, 2)
    means = class_means(pixels, mask.flatten(1), 5)
    for b in range(2):
        for c in range(4):
            torch.testing.assert_close(means[b, c], image[b][:, mask[b] == c].mean(1))
    assert (means[:, 4] == 0).all()
