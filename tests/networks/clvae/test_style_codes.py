import pytest
import torch
from torch import Tensor

from semsynth.networks.clvae.style_codes import (
    StyleCodes,
    choose,
    complete,
    interpolate,
    paste_back,
    replace_codes,
    slerp,
    swap,
)

SHAPE = (3, 4, 5)


def codes(seed: int, present: bool = True) -> StyleCodes:
    generator = torch.Generator().manual_seed(seed)
    z_local = torch.randn(2, *SHAPE, generator=generator)
    there = torch.full((2, *SHAPE[:2]), present)
    return StyleCodes(torch.randn(2, 6, generator=generator), z_local, there)


def changed(a: StyleCodes, b: StyleCodes) -> Tensor:
    return (a.z_local != b.z_local).any(-1)  # (B, L, K)


@pytest.mark.parametrize(
    ("classes", "levels", "cells"),
    [(None, None, 12), ([1], None, 3), (None, [0, 2], 8), ([0, 3], [1], 2), ([], None, 0)],
)
def test_resampling_changes_the_chosen_classes_and_levels_alone(
    classes: list[int] | None, levels: list[int] | None, cells: int
) -> None:
    a, drawn = codes(0), codes(1, present=False)
    where = choose(SHAPE, classes, levels)
    edited = replace_codes(a, drawn, where)
    assert torch.equal(changed(a, edited), where[..., 0].expand(2, -1, -1))
    assert changed(a, edited)[0].sum() == cells
    assert torch.equal(edited.z_global, a.z_global)
    assert torch.equal(edited.present, ~changed(a, edited))


def test_class_chooses_the_rows_of_all_its_instances() -> None:
    where = choose((2, 6, 1), [1], [0], per_class=2)
    assert where[0, :, :, 0].tolist() == [[False, False, True, True, False, False], [False] * 6]


@pytest.mark.parametrize(("classes", "levels"), [([4], None), (None, [3]), ([-1], None)])
def test_unknown_class_or_level_is_refused(
    classes: list[int] | None, levels: list[int] | None
) -> None:
    with pytest.raises(ValueError, match=r"There is no (class|level)"):
        choose(SHAPE, classes, levels)


def test_completion_takes_own_codes_where_they_are_and_draws_new_classes() -> None:
    own, drawn = codes(0), codes(1, present=False)
    own.present[:, 0, 1] = False  # class 1 is too small for the finest level
    own.present[:, :, 2] = False  # class 2 is new
    zero, sampled = complete(own, drawn, "zero"), complete(own, drawn, "sample")
    for result in (zero, sampled):
        assert torch.equal(result.z_local[:, :, [0, 3]], own.z_local[:, :, [0, 3]])
        assert torch.equal(result.z_local[:, :, 2], drawn.z_local[:, :, 2])
        assert torch.equal(result.z_local[:, 1:, 1], own.z_local[:, 1:, 1])
    assert not zero.z_local[:, 0, 1].any()
    assert torch.equal(sampled.z_local[:, 0, 1], drawn.z_local[:, 0, 1])


def test_swap_exchanges_and_swapping_again_restores() -> None:
    a, b, where = codes(0), codes(1), choose(SHAPE, [2], [0, 1])
    x, y = swap(a, b, where)
    assert torch.equal(x.z_local[:, :2, 2], b.z_local[:, :2, 2])
    assert torch.equal(y.z_local[:, :2, 2], a.z_local[:, :2, 2])
    assert changed(a, x).sum() == 4
    assert torch.equal(x.z_global, a.z_global)
    again, _ = swap(x, y, where)
    assert torch.equal(again.z_local, a.z_local)


@pytest.mark.parametrize("path", ["lerp", "slerp"])
def test_interpolation_begins_and_ends_at_its_codes(path: str) -> None:
    a, b = codes(0), codes(1)
    for weight, expected in ((0.0, a), (1.0, b)):
        between = interpolate(a, b, weight, path)  # type: ignore[arg-type]
        torch.testing.assert_close(between.z_local, expected.z_local)
        torch.testing.assert_close(between.z_global, expected.z_global)


def test_interpolation_moves_the_chosen_codes_alone() -> None:
    a, b, where = codes(0), codes(1), choose(SHAPE, [1])
    half = interpolate(a, b, 0.5, where=where, with_global=False)
    assert torch.equal(changed(a, half), where[..., 0].expand(2, -1, -1))
    torch.testing.assert_close(half.z_local[:, :, 1], (a.z_local + b.z_local)[:, :, 1] / 2)
    assert torch.equal(half.z_global, a.z_global)


def test_slerp_keeps_the_length_and_halves_the_angle() -> None:
    a, b = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    torch.testing.assert_close(slerp(a, b, 0.5), torch.tensor([[2**0.5, 2**0.5]]))
    torch.testing.assert_close(slerp(a, 2 * a, 0.25), 1.25 * a)  # parallel
    assert torch.isfinite(slerp(torch.zeros(1, 2), b, 0.5)).all()


def test_pixels_outside_the_classes_are_put_back() -> None:
    fake, image = torch.ones(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    mask = torch.tensor([[[0, 1], [2, 1]]])
    assert paste_back(fake, image, mask, [1, 2])[0, 0].tolist() == [[0, 1], [1, 1]]


def test_codes_of_one_image_serve_many() -> None:
    many = codes(0)[:1].expand(3)
    assert len(many) == 3
    assert torch.equal(many.z_local[0], many.z_local[2])
