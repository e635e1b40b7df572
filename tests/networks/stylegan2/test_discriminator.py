import math
from typing import Any

import pytest
import torch
from torch import Tensor

from semsynth.losses.losses import gradient_penalty
from semsynth.networks.stylegan2.discriminator import StyleGAN2Discriminator, append_batch_std


def tiny(image_size: int = 16, **changes: Any) -> StyleGAN2Discriminator:
    torch.manual_seed(0)
    arguments = {"channel_base": 128, "channel_max": 4, "group_size": 2} | changes
    return StyleGAN2Discriminator(image_size, **arguments)


@pytest.mark.parametrize(("batch_size", "group_size"), [(8, 4), (6, 3), (4, 4), (3, 4), (1, 4)])
def test_batch_standard_deviation_equals_a_loop(batch_size: int, group_size: int) -> None:
    x = torch.randn(batch_size, 3, 4, 4)
    size = min(group_size, batch_size)
    groups = batch_size // size
    expected = torch.empty(batch_size)
    for g in range(groups):
        members = [i for i in range(batch_size) if i % groups == g]
        assert len(members) == size
        deviations = [
            math.sqrt(x[members, c, i, j].double().var(unbiased=False).item() + 1e-8)
            for c in range(3)
            for i in range(4)
            for j in range(4)
        ]
        expected[members] = sum(deviations) / len(deviations)
    result = append_batch_std(x, group_size)
    assert torch.equal(result[:, :3], x)
    torch.testing.assert_close(result[:, 3], expected.view(-1, 1, 1).expand(-1, 4, 4))


def test_batch_that_is_not_made_of_whole_groups_is_refused() -> None:
    with pytest.raises(
        ValueError, match="groups of 4 images; the batch size must be a multiple of that, got 6"
    ):
        StyleGAN2Discriminator(16, 128, 4)(torch.zeros(6, 3, 16, 16))


def test_groups_do_not_depend_on_one_another() -> None:
    network, images = tiny(), torch.randn(4, 3, 16, 16)
    logits = network(images)
    changed = images.clone()
    changed[1] += 1  # with two groups, sample 1 is compared with sample 3
    moved = network(changed) - logits
    assert moved[[0, 2]].abs().max() < 1e-5
    assert moved[[1, 3]].abs().min() > 1e-5


def test_r1_passes_gradcheck_in_all_parameters(float64: None) -> None:
    network, images = tiny(), torch.randn(2, 3, 16, 16)
    parameters = {k: p.detach().clone().requires_grad_() for k, p in network.named_parameters()}
    # The bias of the last layer has no influence on a gradient in the images.
    del parameters["out.bias"]

    def penalty(*values: Tensor) -> Tensor:
        state = dict(zip(parameters, values, strict=True))
        return gradient_penalty(lambda x: torch.func.functional_call(network, state, (x,)), images)

    assert torch.autograd.gradcheck(penalty, tuple(parameters.values()), fast_mode=True)


def test_discriminator_passes_gradgradcheck_in_the_images(float64: None) -> None:
    network, images = tiny(), torch.randn(2, 3, 16, 16, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: network(x) ** 2, images, fast_mode=True)


def test_r1_is_taken_in_float32_under_autocast() -> None:
    network, images = tiny(), torch.randn(2, 3, 16, 16)
    expected = gradient_penalty(network, images)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(gradient_penalty(network, images), expected)


def test_batch_standard_deviation_of_half_precision_is_taken_in_float32() -> None:
    x = torch.full((2, 1, 4, 4), 100.0).bfloat16()
    x[1] = 100.5  # whose squares differ by less than the precision of bfloat16
    deviation = append_batch_std(x, 2)[0, 1, 0, 0]
    assert float(deviation) == pytest.approx(0.25, rel=0.01)
