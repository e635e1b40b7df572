import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semsynth.losses.losses import (
    PerceptualLoss,
    class_layer_kl,
    dice_loss,
    feature_matching_loss,
    gradient_penalty,
    hinge_loss_d,
    hinge_loss_g,
    kl_divergence,
    nonsaturating_loss_d,
    nonsaturating_loss_g,
    path_lengths,
    relativistic_loss_d,
    relativistic_loss_g,
)


def full(value: float, *shape: int) -> Tensor:
    return torch.full(shape, value, dtype=torch.float32)


def test_hinge_losses_by_hand() -> None:
    real = [torch.tensor([0.5, 2.0]), torch.tensor([-1.0])]  # 0.25 and 2
    fake = [torch.tensor([-3.0, 0.0]), torch.tensor([0.5])]  # 0.5 and 1.5
    assert hinge_loss_d(real, fake).item() == pytest.approx(1.125 + 1.0)
    assert hinge_loss_g(fake).item() == pytest.approx((1.5 - 0.5) / 2)


def test_nonsaturating_losses_by_hand() -> None:
    logits, fake = torch.tensor([0.0, math.log(3)]), torch.tensor([math.log(7)])
    expected = (math.log(2) + math.log(4 / 3)) / 2 + math.log(8)
    assert nonsaturating_loss_d(logits, fake).item() == pytest.approx(expected)
    assert nonsaturating_loss_g(logits).item() == pytest.approx(math.log(2 * 4 / 3) / 2)


def test_nonsaturating_loss_of_a_hopeless_generator_still_has_a_gradient() -> None:
    fake = torch.tensor([-1000.0], requires_grad=True)
    loss = nonsaturating_loss_g(fake)
    loss.backward()
    assert loss.item() == pytest.approx(1000)
    assert fake.grad is not None
    assert fake.grad.item() == pytest.approx(-1)


def test_relativistic_losses_equal_a_loop_over_pairs() -> None:
    real, fake = torch.randn(5), torch.randn(5)
    pairs = list(zip(real.tolist(), fake.tolist(), strict=True))
    expected_d = sum(math.log(1 + math.exp(-(r - f))) for r, f in pairs) / 5
    expected_g = sum(math.log(1 + math.exp(-(f - r))) for r, f in pairs) / 5
    assert relativistic_loss_d(real, fake).item() == pytest.approx(expected_d, rel=1e-5)
    assert relativistic_loss_g(real, fake).item() == pytest.approx(expected_g, rel=1e-5)


def test_gradient_penalty_is_the_squared_norm_of_the_gradient() -> None:
    real = torch.randn(3, 3, 4, 4)
    penalty = gradient_penalty(
        lambda x: (x.square() / 2).sum((1, 2, 3)), real
    )  # gradient: x itself
    torch.testing.assert_close(penalty, real.square().sum((1, 2, 3)))


def test_gradient_penalty_has_a_gradient_in_the_discriminator_and_none_in_the_images() -> None:
    weight = torch.randn(3, 4, 4, requires_grad=True)
    real = torch.randn(2, 3, 4, 4, requires_grad=True)
    gradient_penalty(lambda x: (x * weight).sum((1, 2, 3)), real).sum().backward()
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, 2 * 2 * weight)
    assert real.grad is None


def test_path_lengths_of_a_linear_generator_by_hand() -> None:
    w_plus = torch.randn(2, 5, 4, requires_grad=True)  # B, num_ws, w_dim
    basis = torch.randn(5, 4, 3 * 6 * 6)
    direction = torch.randn(2, 3, 6, 6)
    image = torch.einsum("bnd,ndp->bp", w_plus, basis).view(2, 3, 6, 6)
    jacobian = torch.einsum("ndp,bp->bnd", basis, direction.flatten(1)) / 6  # sqrt(H W)
    expected = jacobian.square().sum(2).mean(1).sqrt()
    torch.testing.assert_close(path_lengths(image, w_plus, direction), expected)


def test_feature_matching_sums_layers_and_averages_scales() -> None:
    fake = [[full(1, 2, 3), full(2, 5)], [full(0, 4), full(0, 7)]]
    real = [[full(0, 2, 3), full(4, 5)], [full(5, 4), full(0, 7)]]
    assert feature_matching_loss(fake, real).item() == pytest.approx((1 + 2 + 5 + 0) / 2)


class TwoTaps(nn.Module):
    def features(self, image: Tensor) -> list[Tensor]:
        return [image, 3 * image[..., ::2, ::2]]


def test_perceptual_loss_weights_the_taps() -> None:
    loss = PerceptualLoss(TwoTaps(), (0.5, 2.0))
    assert loss(full(1, 1, 3, 4, 4), full(0, 1, 3, 4, 4)).item() == pytest.approx(0.5 + 2 * 3)


class FiveTaps(nn.Module):
    def features(self, image: Tensor) -> list[Tensor]:
        return [10**i * image for i in range(5)]


def test_perceptual_loss_weighs_coarse_taps_more_by_default() -> None:
    value = PerceptualLoss(FiveTaps())(full(1, 1, 3, 4, 4), full(0, 1, 3, 4, 4))
    assert value.item() == pytest.approx(1 / 32 + 10 / 16 + 100 / 8 + 1000 / 4 + 10000)


def test_perceptual_loss_multiplies_pixels_by_the_loss_mask() -> None:
    loss = PerceptualLoss(TwoTaps(), (0.5, 2.0))
    weight = torch.zeros(1, 1, 4, 4)
    weight[..., 2] = 4.0  # a quarter of the pixels; half of those at even positions
    value = loss(full(1, 1, 3, 4, 4), full(0, 1, 3, 4, 4), weight)
    assert value.item() == pytest.approx(0.5 * 1 + 2 * 3 * 2)


@pytest.mark.parametrize(
    "loss", [PerceptualLoss(TwoTaps(), (1, 1)), lambda f, r: feature_matching_loss([[f]], [[r]])]
)
def test_real_images_and_features_get_no_gradient(loss: Any) -> None:
    fake, real = full(1, 1, 3, 4, 4).requires_grad_(), full(0, 1, 3, 4, 4).requires_grad_()
    loss(fake, real).backward()
    assert fake.grad is not None
    assert real.grad is None


def test_perceptual_loss_refuses_another_number_of_weights() -> None:
    with pytest.raises(ValueError, match="zip"):
        PerceptualLoss(TwoTaps(), (1.0,))(full(1, 1, 3, 4, 4), full(0, 1, 3, 4, 4))


def test_dice_loss_by_hand() -> None:
    odds = torch.tensor([[[[1.0, 3.0, 1.0]], [[1.0, 1.0, 1.0]], [[2.0, 0.0, 0.0]]]])
    mask = torch.tensor([[[0, 0, 255]]])
    # class 0: overlap 1/4 + 3/4 of 1/4 + 3/4 + 2; classes 1 and 2 are not in the mask
    loss = dice_loss(odds.clamp(min=1e-30).log(), mask)
    torch.testing.assert_close(loss, torch.tensor(1 - 2 * 1 / 3))


def test_dice_loss_of_perfect_logits_is_zero_and_of_no_label_too() -> None:
    mask = torch.tensor([[[0, 1, 255, 1]]])
    logits = 50 * F.one_hot(mask % 255, 3).movedim(-1, 1).float()
    torch.testing.assert_close(dice_loss(logits, mask), torch.tensor(0.0))
    assert dice_loss(logits, torch.full_like(mask, 255)) == 0


def test_kl_divergence_by_hand_and_by_torch_distributions() -> None:
    mu, logvar = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, math.log(4.0)]])
    expected = 0.5 + 0.5 * (4 - 1 - math.log(4.0))
    assert kl_divergence(mu, logvar).item() == pytest.approx(expected)
    mu, logvar = torch.randn(3, 5), torch.randn(3, 5)
    normal = torch.distributions.Normal
    posterior = normal(mu, (0.5 * logvar).exp())
    reference = torch.distributions.kl_divergence(posterior, normal(0.0, 1.0)).sum(-1)
    torch.testing.assert_close(kl_divergence(mu, logvar), reference)


def test_kl_divergence_of_half_precision_is_taken_in_float32() -> None:
    mu = torch.full((1, 300), 0.1, dtype=torch.bfloat16)
    value = kl_divergence(mu, torch.zeros_like(mu))
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(150 * float(mu[0, 0]) ** 2, rel=1e-5)


@pytest.mark.parametrize(("norm", "expected"), [("level", 8.0), ("mask", 16 / 3)])
def test_class_layer_kl_divides_by_classes_and_sums_levels(norm: str, expected: float) -> None:
    mu = torch.full((1, 2, 4, 2), 2.0)  # divergence 4 for each class
    present = torch.tensor([[[True, True, True, False], [False, True, False, False]]])
    count = present.sum(-1) if norm == "level" else torch.tensor([[3]])
    found = class_layer_kl(mu, torch.zeros_like(mu), present, count)
    assert found.item() == pytest.approx(expected)


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 0, 1, 5)])
def test_class_layer_kl_without_classes_or_without_codes_is_zero(shape: tuple[int, ...]) -> None:
    mu, present = torch.randn(shape), torch.zeros(shape[:3], dtype=torch.bool)
    assert class_layer_kl(mu, mu, present, present.sum(-1)).tolist() == [0, 0]


def test_class_layer_kl_of_a_sample_does_not_depend_on_its_batch() -> None:
    mu, logvar = torch.randn(3, 2, 4, 5), torch.randn(3, 2, 4, 5)
    present = torch.rand(3, 2, 4) < 0.5
    together = class_layer_kl(mu, logvar, present, present.sum(-1))
    alone = class_layer_kl(mu[1:2], logvar[1:2], present[1:2], present[1:2].sum(-1))
    torch.testing.assert_close(together[1:2], alone)
