from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.networks.clvae.encoder import (
    CLVAEEncoder,
    classes_present,
    code_levels,
    instance_rows,
    local_code_shape,
    pool_by_row,
)
from semsynth.networks.clvae.layouts import fill_ignored, level_mask


def tiny(num_levels: int = 5, **switches: Any) -> CLVAEEncoder:
    sizes: Any = {"channels": 2, "z_dim": 6, "code_dim": 3, "encoder_size": 128}
    return CLVAEEncoder(4, num_levels=num_levels, **sizes, **switches)


def batch(size: int = 128) -> tuple[Tensor, Tensor]:
    mask = torch.randint(0, 4, (2, 16, 16)).repeat_interleave(size // 16, 1)
    return torch.randn(2, 3, size, size), mask.repeat_interleave(size // 16, 2)


def pool_naive(features: Tensor, mask: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    pooled = torch.zeros(len(mask), num_classes, features.shape[1])
    present = torch.zeros(len(mask), num_classes, dtype=torch.bool)
    for b in range(len(mask)):
        for c in range(num_classes):
            pixels = features[b][:, mask[b] == c]
            if pixels.shape[1]:
                pooled[b, c], present[b, c] = pixels.max(1).values, True
    return pooled, present


def test_pool_by_row_equals_a_loop_with_empty_single_and_ignored_pixels() -> None:
    features = torch.randn(2, 7, 8, 6)
    mask = torch.randint(0, 3, (2, 8, 6))
    mask[:, :2] = 255
    mask[0, 3, 3] = 4  # a class of one pixel; class 3 is empty
    pooled, present = pool_by_row(features, fill_ignored(mask, 5), 5)
    expected, expected_present = pool_naive(features, mask, 5)
    assert torch.equal(pooled, expected)
    assert torch.equal(present, expected_present)
    assert present.sum(1).tolist() == [4, 3]


def test_pool_by_row_of_an_ignored_mask_is_zero_with_zero_gradient() -> None:
    features = torch.randn(1, 3, 4, 4, requires_grad=True)
    pooled, present = pool_by_row(features, torch.full((1, 4, 4), 2), 2)
    torch.autograd.backward(pooled.sum())
    assert not pooled.any()
    assert not present.any()
    assert features.grad is not None
    assert not features.grad.any()


def test_pool_by_row_sends_the_gradient_to_the_maxima() -> None:
    features = torch.randn(2, 3, 4, 4, requires_grad=True)
    mask = torch.randint(0, 2, (2, 4, 4))
    weight = torch.randn(2, 2, 3)
    (got,) = torch.autograd.grad((pool_by_row(features, mask, 2)[0] * weight).sum(), features)
    (expected,) = torch.autograd.grad((pool_naive(features, mask, 2)[0] * weight).sum(), features)
    torch.testing.assert_close(got, expected)


def test_classes_present_leaves_ignored_pixels_out() -> None:
    mask = torch.tensor([[[0, 2], [255, 2]]])
    assert classes_present(mask, 3).tolist() == [[True, False, True]]


@pytest.mark.parametrize(
    ("switches", "num_levels", "shape", "levels"),
    [
        ((True, True), 5, (5, 4, 4), (0, 1, 2, 3, 4)),
        ((True, True), 2, (2, 4, 4), (0, 1)),
        ((True, True), 0, (0, 4, 4), ()),
        ((False, True), 5, (5, 1, 4), (0, 1, 2, 3, 4)),
        ((True, False), 5, (1, 4, 4), (2,)),
        ((False, False), 5, (0, 1, 4), ()),
    ],
)
def test_encoder_gives_codes_of_the_shape_that_the_switches_say(
    switches: tuple[bool, bool], num_levels: int, shape: tuple[int, ...], levels: tuple[int, ...]
) -> None:
    named = dict(zip(("class_wise", "layer_wise"), switches, strict=True))
    assert code_levels(num_levels, **named) == levels
    assert local_code_shape(4, None, num_levels, **named) == shape
    encoder = tiny(num_levels, **named)
    posterior = encoder(*batch())
    assert posterior.mu_global.shape == posterior.logvar_global.shape == (2, 6)
    assert posterior.mu.shape == posterior.logvar.shape == (2, *shape[:2], 3)
    assert posterior.present.shape == (2, *shape[:2])
    assert posterior.present.dtype == torch.bool
    assert encoder.code_shape == (*shape[:2], 3)


def test_trunk_has_one_block_more_than_levels() -> None:
    assert [len(tiny(n).blocks) for n in range(6)] == [1, 2, 3, 4, 5, 6]
    assert len(tiny(1, layer_wise=False).blocks) == 6


def test_encoder_refuses_levels_and_sizes_that_do_not_fit() -> None:
    image, mask = batch()
    with pytest.raises(ValueError, match="0 to 5, got 6"):
        tiny(6)
    with pytest.raises(ValueError, match=r"at least 128 for 6 blocks, got 64"):
        CLVAEEncoder(4, encoder_size=64)
    with pytest.raises(ValueError, match=r"got \(2, 128, 64\)"):
        tiny()(image, mask[..., :64])


def test_posterior_equals_a_loop_over_samples_classes_and_levels() -> None:
    encoder = tiny().eval()
    image, mask = batch()
    mask[0, :64] = 255
    with torch.no_grad():
        posterior = encoder(image, mask)
        maps = encoder.feature_maps(image)
        for j in range(5):
            pooled, present = pool_naive(maps[j], level_mask(mask, j), 4)
            mu, logvar = encoder.heads[j](pooled)
            assert torch.equal(posterior.present[:, j], present)
            torch.testing.assert_close(posterior.mu[:, j], mu * present[..., None])
            torch.testing.assert_close(posterior.logvar[:, j], logvar * present[..., None])


def test_class_too_small_for_every_level_has_no_codes() -> None:
    image, mask = batch()
    mask = mask.clamp_max(2)
    mask[0, 1, 1] = 3  # odd position: on no level
    posterior = tiny()(image, mask)
    assert classes_present(mask, 4)[0, 3]
    assert not posterior.present[:, :, 3].any()
    assert not posterior.mu[:, :, 3].any()
    assert not posterior.logvar[:, :, 3].any()


def test_one_code_for_all_classes_pools_the_whole_map() -> None:
    encoder = tiny(class_wise=False).eval()
    image, mask = batch()
    with torch.no_grad():
        posterior = encoder(image, mask)
        mu, _ = encoder.heads[1](encoder.feature_maps(image)[1].amax((2, 3)))
    torch.testing.assert_close(posterior.mu[:, 1, 0], mu)
    assert posterior.present.all()


def test_encoder_squashes_frames_bilinearly_and_labels_by_nearest() -> None:
    encoder = tiny()
    image, mask = torch.randn(1, 3, 128, 256), torch.randint(0, 4, (1, 128, 256))
    small, labels = encoder.resize(image, mask)
    assert torch.equal(labels, mask[:, :, ::2])
    torch.testing.assert_close(small, F.avg_pool2d(image, (1, 2)))


def test_instances_are_numbered_within_their_class_and_the_last_row_is_shared() -> None:
    mask = torch.tensor([[[0, 0, 1, 1], [1, 2, 2, 255]]])
    instance = torch.tensor([[[7, 9, 26001, 26004], [30000, 7, 7, 3]]])
    rows = instance_rows(mask, instance, num_classes=3, per_class=2)
    assert rows.tolist() == [[[0, 1, 2, 3], [3, 4, 4, 6]]]


def test_number_of_an_instance_does_not_depend_on_other_classes() -> None:
    mask, instance = torch.randint(0, 4, (2, 8, 8)), torch.randint(0, 5, (2, 8, 8))
    rows = instance_rows(mask, instance, 4, 5)
    without = instance_rows(mask.masked_fill(mask == 1, 0), instance, 4, 5)
    assert torch.equal(rows[mask > 1], without[mask > 1])
    assert torch.equal(rows // 5, mask)


def test_each_instance_is_pooled_alone() -> None:
    encoder = CLVAEEncoder(3, 2, 6, code_dim=3, encoder_size=128, instances_per_class=2).eval()
    image = torch.randn(1, 3, 128, 128)
    mask, instance = torch.zeros(1, 128, 128).long(), torch.ones(1, 128, 128).long()
    instance[..., 64:] = 2
    with torch.no_grad():
        posterior = encoder(image, mask, instance)
        maps = encoder.feature_maps(image)
    assert posterior.mu.shape == (1, 5, 6, 3)
    assert posterior.present[0, 0].tolist() == [True, True, False, False, False, False]
    for row, half in ((0, maps[1][..., :16]), (1, maps[1][..., 16:])):
        expected, _ = encoder.heads[1](half.amax((2, 3)))
        torch.testing.assert_close(posterior.mu[:, 1, row], expected)


def test_instances_need_an_instance_map() -> None:
    encoder = CLVAEEncoder(3, 2, 6, encoder_size=128, instances_per_class=2)
    with pytest.raises(ValueError, match="no instance map"):
        encoder(torch.zeros(1, 3, 8, 8), torch.zeros(1, 8, 8).long())
