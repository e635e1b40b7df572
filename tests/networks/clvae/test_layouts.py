import pytest
import torch
import torch.nn.functional as F

from semsynth.networks.clvae.layouts import one_hot, resize_layout


def test_one_hot_equals_torch_and_is_zero_where_ignored() -> None:
    mask = torch.randint(0, 5, (2, 6, 7))
    expected = F.one_hot(mask, 5).permute(0, 3, 1, 2).float()
    mask[0, 2, 3] = 255
    expected[0, :, 2, 3] = 0
    torch.testing.assert_close(one_hot(mask, 5), expected)


@pytest.mark.parametrize("factor", [2, 4, 8, 16, 32])
def test_nearest_resize_of_labels_is_a_strided_pick(factor: int) -> None:
    labels = torch.randint(0, 9, (1, 1, 256, 512)).float()
    resized = resize_layout(labels, (256 // factor, 512 // factor))
    torch.testing.assert_close(resized, labels[..., ::factor, ::factor])


def test_resize_layout_does_not_copy_a_layout_of_the_right_size() -> None:
    layout = torch.rand(1, 2, 4, 6)
    assert resize_layout(layout, (4, 6)) is layout
