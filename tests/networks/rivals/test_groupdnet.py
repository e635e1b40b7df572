import pytest
import torch
from torch import Tensor

from semsynth.networks.rivals.groupdnet import (
    GroupedEncoder,
    GroupedGenerator,
    group_numbers,
    next_power_of_two,
)

CLASSES = 3  # not a power of two


def masks(batch: int = 2) -> Tensor:
    mask = torch.randint(0, CLASSES, (batch, 8, 8)).repeat_interleave(8, 1).repeat_interleave(8, 2)
    mask[:, 0, 0] = 255
    return mask


def generator() -> GroupedGenerator:
    torch.manual_seed(0)
    return GroupedGenerator(CLASSES, (64, 64), channels=4, code_channels=2, spade_channels=8)


def test_code_of_a_class_sees_that_class_alone() -> None:
    encoder = GroupedEncoder(CLASSES, (64, 64), class_channels=2, code_channels=2)
    image, mask = torch.randn(1, 3, 64, 64), masks(1)
    other = torch.where(mask[:, None] == 1, image, torch.randn_like(image))
    with torch.no_grad():
        a, b = encoder.eval()(image, mask), encoder(other, mask)
    assert a.mu.shape == (1, 1, CLASSES, 2 * 2 * 2)
    torch.testing.assert_close(a.mu[:, :, 1], b.mu[:, :, 1])
    assert not torch.allclose(a.mu[:, :, 0], b.mu[:, :, 0])


def test_absent_class_has_no_code() -> None:
    encoder = GroupedEncoder(CLASSES, (64, 64), class_channels=2, code_channels=2).eval()
    posterior = encoder(torch.randn(1, 3, 64, 64), torch.zeros(1, 64, 64).long())
    assert posterior.present[0, 0].tolist() == [True, False, False]
    assert not posterior.mu[:, :, 1:].any()
    assert not posterior.logvar[:, :, 1:].any()
    assert posterior.mu_global.shape == (1, 0)


def test_encoder_and_generator_agree_on_the_codes() -> None:
    encoder = GroupedEncoder(CLASSES, (64, 64), class_channels=2, code_channels=2)
    assert encoder.code_shape == generator().code_shape


def test_groups_fall_from_the_classes_to_one() -> None:
    widths = [1024, 1024, 1024, 1024, 512, 256, 128, 64]
    numbers = group_numbers(256, widths, 256)
    assert numbers[0] == 256
    assert numbers[-1] == 1
    assert numbers == sorted(numbers, reverse=True)
    assert group_numbers(8, widths, 128) == [8, 4, 4, 4, 2, 1, 1]
    assert [next_power_of_two(n) for n in (1, 2, 3, 151, 256)] == [1, 2, 4, 256, 256]


def test_first_map_of_a_class_does_not_depend_on_the_others() -> None:
    network = generator()
    code = torch.randn(1, *network.code_shape)
    seen: list[Tensor] = []
    network.decoder.start.register_forward_hook(lambda *args: seen.append(args[2]))
    other = code.clone()
    other[:, :, 1] += 1
    for z in (code, other):
        network(masks(1), torch.zeros(1, 0), z)
    changed = (seen[0] != seen[1]).any(0).flatten(1).any(1)  # (64,) in four groups of 16
    assert changed[16:32].any()
    assert not changed[:16].any()
    assert not changed[32:].any()


def test_too_few_channels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"256 groups of 151 classes"):
        GroupedGenerator(151, (64, 64), channels=8)
