import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.losses.losses import gradient_penalty
from semsynth.networks.stylegan2.ada import (
    NUM_DRAWS,
    AdaptiveAugment,
    Operations,
    Pipe,
    augment,
    draw_operations,
)
from tests.helpers.checks import assert_compiles

BATCH, SIZE = 4, 16


def operations(batch_size: int = BATCH, /, **values: float) -> Operations:
    """The same for each image; nothing where no value is given."""
    zeros = Operations(*torch.zeros(len(Operations._fields), batch_size, dtype=torch.float64))
    return zeros._replace(**{k: torch.full_like(zeros.hue, v) for k, v in values.items()})


def drawn(p: float, count: int = 20_000, pipe: Pipe = "bgc") -> Operations:
    uniform = torch.rand(count, NUM_DRAWS, generator=torch.Generator().manual_seed(0))
    return draw_operations(uniform, torch.tensor(p), pipe)


def share(values: Tensor) -> float:
    return float((values != 0).double().mean())


@pytest.fixture
def images() -> Tensor:
    return torch.rand(BATCH, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("pipe", ["b", "bg", "bgc"])
def test_probability_zero_is_exactly_the_identity(images: Tensor, pipe: Pipe) -> None:
    assert torch.equal(AdaptiveAugment(pipe, p=0.0)(images), images)


def test_flip_exchanges_left_and_right(images: Tensor) -> None:
    assert torch.equal(augment(images, operations(flip=1)), images.flip(3))


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("size", [15, 16])
def test_quarter_turns_equal_rot90(images: Tensor, turns: int, size: int) -> None:
    images = images[..., :size, :size]
    result = augment(images, operations(quarter_turns=turns))
    assert torch.equal(result, images.rot90(turns, (2, 3)))


def test_shift_moves_whole_pixels_and_mirrors_what_comes_in(images: Tensor) -> None:
    result = augment(images, operations(shift_x=0.12, shift_y=-0.06))  # 1.92 and -0.96 pixels
    padded = F.pad(images, (2, 2, 1, 1), mode="reflect")
    assert torch.equal(result, padded[..., 2 : 2 + SIZE, :SIZE])


def test_flip_turn_and_shift_are_applied_in_this_order(images: Tensor) -> None:
    result = augment(images, operations(flip=1, quarter_turns=1, shift_x=0.125))
    padded = F.pad(images.flip(3).rot90(1, (2, 3)), (2, 0, 0, 0), mode="reflect")
    assert torch.equal(result, padded[..., :SIZE])


def blob(x: float, y: float, size: int = 64, width: float = 5, height: float = 5) -> Tensor:
    """A bright spot at x, y in [-1, 1] from the centre, y downwards."""
    at = torch.linspace(-1, 1, size, dtype=torch.float64) * size / 2
    spot = torch.exp(
        -(((at - x * size / 2) / width) ** 2) - ((at[:, None] - y * size / 2) / height) ** 2
    )
    return spot.expand(1, 3, size, size)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"log2_scale": 1.0}, blob(0.4, 0.2, width=10, height=10)),
        ({"turn_before": math.pi / 2}, blob(0.1, -0.2)),  # from the right to the top
        ({"turn_after": math.pi / 2}, blob(0.1, -0.2)),
        ({"log2_stretch": 1.0}, blob(0.4, 0.05, width=10, height=2.5)),
        ({"turn_before": math.pi / 2, "log2_stretch": 1.0}, blob(0.2, -0.1, 64, 10, 2.5)),
        ({"log2_stretch": 1.0, "turn_after": math.pi / 2}, blob(0.05, -0.4, 64, 2.5, 10)),
        ({"flip": 1, "turn_before": math.pi / 2}, blob(0.1, 0.2)),
        ({"flip": 1, "log2_stretch": 1.0, "move_x": 0.11}, blob(-0.4 + 0.22, 0.05, 64, 10, 2.5)),
        ({"turn_after": math.pi / 2, "move_x": 0.11}, blob(0.1 + 0.22, -0.2)),
        ({"move_x": 0.11, "move_y": -0.07}, blob(0.2 + 0.22, 0.1 - 0.14)),
        ({"log2_scale": 1.0, "move_x": -0.25}, blob(0.4 - 0.5, 0.2, width=10, height=10)),
    ],
)
def test_geometry_deforms_a_spot_as_by_hand(change: dict[str, float], expected: Tensor) -> None:
    result = augment(blob(0.2, 0.1), operations(1, **change))
    middle = (..., slice(17, 47), slice(17, 47))  # beyond it the mirrors show the spot again
    torch.testing.assert_close(result[middle], expected[middle], atol=0.05, rtol=0)


def grey(images: Tensor) -> Tensor:
    return images.mean(1, keepdim=True).expand_as(images)


COLOURS: dict[str, tuple[dict[str, float], Callable[[Tensor], Tensor]]] = {
    "brightness is added": ({"brightness": 0.3}, lambda x: x + 0.3),
    "contrast multiplies": ({"log2_contrast": -1}, lambda x: x / 2),
    "first brightness": ({"brightness": 0.3, "log2_contrast": 1}, lambda x: 2 * (x + 0.3)),
    "luma flip negates the grey part": ({"luma_flip": 1}, lambda x: x - 2 * grey(x)),
    "half a turn of hue negates the rest": ({"hue": math.pi}, lambda x: 2 * grey(x) - x),
    "a third makes red green": ({"hue": 2 * math.pi / 3}, lambda x: x.roll(1, 1)),
    "no saturation is grey": ({"log2_saturation": -math.inf}, grey),
}


@pytest.mark.parametrize("name", COLOURS)
def test_colours_change_as_by_hand(images: Tensor, name: str) -> None:
    change, expected = COLOURS[name]
    torch.testing.assert_close(augment(images, operations(**change)), expected(images))


def test_all_colours_together_equal_one_after_the_other(images: Tensor) -> None:
    values = {"brightness": 0.2, "log2_contrast": 0.4, "luma_flip": 1, "hue": 1.0}
    values["log2_saturation"] = -0.5
    expected = images
    for name, value in values.items():
        expected = augment(expected, operations(**{name: value}))
    torch.testing.assert_close(augment(images, operations(**values)), expected)


def test_each_image_gets_its_own_operations(images: Tensor) -> None:
    uniform = torch.rand(BATCH, NUM_DRAWS)
    together = augment(images, draw_operations(uniform, torch.tensor(1.0)))
    for i in range(BATCH):
        alone = draw_operations(uniform[i : i + 1], torch.tensor(1.0))
        torch.testing.assert_close(augment(images[i : i + 1], alone), together[i : i + 1])


@pytest.mark.parametrize("p", [0.1, 0.6])
def test_share_of_images_that_an_operation_changes_is_the_probability(p: float) -> None:
    ops = drawn(p)
    tolerance = 0.015  # four standard deviations of the share
    for name in Operations._fields:
        expected = {"flip": p / 2, "luma_flip": p / 2, "quarter_turns": 3 * p / 4}.get(name, p)
        if name.startswith("turn_"):
            expected = 1 - math.sqrt(1 - p)
        assert share(getattr(ops, name)) == pytest.approx(expected, abs=tolerance), name
    either = (ops.turn_before != 0) | (ops.turn_after != 0)
    assert share(either) == pytest.approx(p, abs=tolerance)


def test_operations_are_drawn_independently_but_for_the_two_directions() -> None:
    applied = (torch.stack(drawn(0.5)) != 0).double()
    correlation = torch.corrcoef(applied)
    pairs = {("shift_x", "shift_y"), ("move_x", "move_y")}
    for i, a in enumerate(Operations._fields):
        for j, b in enumerate(Operations._fields[:i]):
            expected = 1.0 if (b, a) in pairs else 0.0
            assert float(correlation[i, j]) == pytest.approx(expected, abs=0.03), (a, b)


def test_values_have_the_distributions_of_the_paper() -> None:
    ops = drawn(1.0)
    deviations = {"log2_scale": 0.2, "log2_stretch": 0.2, "move_x": 0.125, "move_y": 0.125}
    deviations |= {"brightness": 0.2, "log2_contrast": 0.5, "log2_saturation": 1.0}
    for name, deviation in deviations.items():
        values = getattr(ops, name)
        assert float(values.std()) == pytest.approx(deviation, rel=0.03), name
        assert float(values.mean()) == pytest.approx(0, abs=0.03 * deviation), name
        assert share(values.abs() > 2 * deviation) == pytest.approx(0.0455, abs=0.006), name
    widths = {"shift_x": 0.125, "shift_y": 0.125, "turn_before": math.pi, "hue": math.pi}
    for name, width in widths.items():
        values = getattr(ops, name)
        assert float(values.abs().max()) <= width
        assert float(values.abs().mean()) == pytest.approx(width / 2, rel=0.03), name
    assert ops.flip.unique().tolist() == [0, 1]
    assert ops.quarter_turns.unique(return_counts=True)[1].tolist() == pytest.approx(
        [5000] * 4, rel=0.06
    )


@pytest.mark.parametrize(("pipe", "last"), [("b", 4), ("bg", 10), ("bgc", 15)])
def test_pipe_leaves_out_the_other_kinds_of_operations(pipe: Pipe, last: int) -> None:
    values = torch.stack(drawn(1.0, 100, pipe))
    assert (values[:last] != 0).any(1).all()
    assert (values[last:] == 0).all()


def test_no_black_comes_in_from_outside() -> None:
    white = torch.ones(64, 3, SIZE, SIZE)
    result = AdaptiveAugment("bg", p=1.0)(white)
    torch.testing.assert_close(result, white)


def test_gradients_pass_gradcheck_and_gradgradcheck() -> None:
    colours = {"brightness": 0.2, "log2_contrast": 0.4, "luma_flip": 1, "hue": 1.0}
    geometry = {"flip": 1, "shift_x": 0.125, "turn_before": 0.7, "log2_scale": 0.3, "move_y": 0.1}
    ops = operations(1, **colours, **geometry, log2_saturation=0.5)
    image = torch.randn(1, 3, 5, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: augment(x, ops), image)
    assert torch.autograd.gradgradcheck(lambda x: augment(x, ops) ** 2, image, fast_mode=True)
    assert torch.autograd.gradcheck(lambda x: augment(x, operations(1, shift_x=0.2)), image)


def test_r1_penalty_reaches_the_weights_through_the_augmentation(images: Tensor) -> None:
    weight = torch.randn(3, SIZE, SIZE, requires_grad=True)
    ops = draw_operations(torch.rand(BATCH, NUM_DRAWS), torch.tensor(1.0))

    def discriminate(x: Tensor) -> Tensor:
        return (augment(x, ops) * weight).sum((1, 2, 3)).square()

    (gradient,) = torch.autograd.grad(gradient_penalty(discriminate, images).sum(), weight)
    assert torch.isfinite(gradient).all()
    # The logit is the square of a linear form in the weight: the penalty is of fourth order.
    penalty = gradient_penalty(discriminate, images).sum()
    torch.testing.assert_close((gradient * weight).sum(), 4 * penalty, rtol=1e-3, atol=0)


def test_autocast_changes_nothing(images: Tensor) -> None:
    augmentation, seed = AdaptiveAugment(p=0.8), torch.arange(BATCH)
    expected = augmentation(images, seed)
    with torch.autocast("cpu", torch.bfloat16):
        result = augmentation(images, seed)
        half = augmentation(images.bfloat16(), seed)
    assert torch.equal(result, expected)
    assert half.dtype == torch.float32


def test_compiled_augmentation_equals_the_eager_one(images: Tensor) -> None:
    assert_compiles(AdaptiveAugment(p=0.8), images, torch.arange(BATCH))


def test_operations_depend_on_the_seed_and_not_on_the_batch(images: Tensor) -> None:
    augmentation, seed = AdaptiveAugment(p=0.8), torch.tensor([5, 0, 9, 7])
    together = augmentation(images, seed)
    torch.testing.assert_close(augmentation(images[2:], seed[2:]), together[2:])
    assert not torch.allclose(augmentation(images, seed + 1), together)


def test_operations_without_a_seed_follow_torchs_generator(images: Tensor) -> None:
    augmentation = AdaptiveAugment(p=0.8)
    results = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        results.append(augmentation(images))
    assert torch.equal(results[0], results[1])
    assert not torch.allclose(results[0], results[2])


@pytest.mark.parametrize(
    ("positive", "expected"), [(9, 0.5 + 0.04), (8, 0.5), (7, 0.5 - 0.04), (0, 0.5 - 0.04)]
)
def test_probability_moves_towards_the_target(positive: int, expected: float) -> None:
    augmentation = AdaptiveAugment(p=0.5, target=0.6, kimg=1, interval=4)
    logits = torch.cat([torch.full((positive,), 0.1), torch.full((10 - positive,), -5.0)])
    for _ in range(3):  # mean signs 0.8, 0.6, 0.4 and -1
        augmentation.update(logits)
        assert float(augmentation.p) == 0.5
    augmentation.update(logits)  # 40 images of a thousand
    assert float(augmentation.p) == pytest.approx(expected)


@pytest.mark.parametrize(("start", "logit"), [(0.99, 1.0), (0.01, -1.0)])
def test_probability_stays_between_0_and_1(start: float, logit: float) -> None:
    augmentation = AdaptiveAugment(p=start, kimg=0.01, interval=1)
    augmentation.update(torch.full((10,), logit))
    assert float(augmentation.p) == round(start)


def test_probability_comes_to_rest_where_the_sign_meets_the_target() -> None:
    augmentation = AdaptiveAugment(p=0.0, kimg=1, interval=1)
    seen = []
    for _ in range(200):  # a discriminator that overfits less under more augmentation
        positive = round(100 * (1 - 0.5 * float(augmentation.p)))
        augmentation.update(torch.where(torch.arange(100) < positive, 1.0, -1.0))
        seen.append(float(augmentation.p))
    assert seen[0] < seen[2] < 0.31
    assert seen[-50:] == pytest.approx([0.4] * 50, abs=0.11)  # 80 of 100 are positive there


def test_sign_is_averaged_over_processes_by_the_given_sum() -> None:
    here, there = torch.tensor([1.0, 1.0]), torch.tensor([-1.0] * 6)
    other = torch.tensor([there.sign().sum(), 6.0])
    augmentation = AdaptiveAugment(p=0.5, kimg=1, interval=1)
    augmentation.update(here, lambda tensor: tensor + other)
    assert float(augmentation.p) == pytest.approx(0.5 - 8 / 1000)  # alone it would have risen


def test_state_goes_on_in_the_middle_of_an_interval() -> None:
    first, second = (AdaptiveAugment(p=0.5, kimg=0.1, interval=3) for _ in range(2))
    for logit in (1.0, 1.0):
        first.update(torch.tensor([logit]))
    second.load_state_dict(first.state_dict())
    for augmentation in (first, second):
        augmentation.update(torch.tensor([-1.0]))  # mean 1/3
        assert float(augmentation.p) == pytest.approx(0.5 - 0.03)
        assert int(augmentation.num_updates) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"p": 1.5}, r"must be in \[0, 1\], got 1.5"),
        ({"pipe": "gb"}, "one of b, bg, bgc, got 'gb'"),
        ({"target": 2.0}, r"target in \[-1, 1\]"),
        ({"kimg": 0}, "kimg above 0"),
        ({"interval": 0}, "interval of 1 or more"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AdaptiveAugment(**arguments)


@pytest.mark.parametrize("shape", [(2, 3, 8, 16), (2, 1, 8, 8), (3, 8, 8)])
def test_images_that_are_not_square_or_not_in_colour_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"takes images \(B, 3, S, S\), got \("):
        AdaptiveAugment()(torch.zeros(shape))
