import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from semsynth.data.toy import PortraitWorld
from semsynth.images import to_uint8
from semsynth.metrics import EditingAccuracy, Reconstruction
from semsynth.metrics.editing import angle_between, sample_at
from semsynth.metrics.perceptual import build_taps


class Fixed:
    """An estimator that knows the answer."""

    def __init__(self, flow: Tensor, log_expansion: Tensor, valid: Tensor) -> None:
        self.answer = flow, log_expansion, valid

    def __call__(self, image_a: Tensor, image_b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.answer


def scores_of(
    flow: tuple[float, float],
    zoom: float,
    points: list[list[float]],
    motions: list[list[float]],
    hidden: int = 0,
    there: list[bool] | None = None,
) -> dict[str, float]:
    """Scores of one edit in which all pixels move alike and the first columns are occluded."""
    valid = torch.ones(1, 1, 32, 32, dtype=torch.bool)
    valid[..., :hidden] = False
    field = torch.tensor(flow).view(1, 2, 1, 1).expand(1, 2, 32, 32)
    metric = EditingAccuracy(Fixed(field, torch.full((1, 1, 32, 32), zoom), valid), zoom_window=5)
    image = torch.zeros(1, 3, 32, 32)
    mask = torch.tensor([there or [True] * len(points)])
    metric.update(image, image, torch.tensor([points]), torch.tensor([motions]), mask)
    return {name: score.item() for name, score in metric.compute().items()}


def test_scores_of_drags_and_anchors_equal_those_worked_out_by_hand() -> None:
    points = [[10.0, 10.0], [20.5, 12.0], [15.0, 15.0]]
    motions = [[6.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 0.0]]
    scores = scores_of((3.0, 4.0), 0.0, points, motions)
    expected = {
        "drag_error": (5 + 3) / 2,  # (3, 4) from (6, 0), and from (0, 4)
        "drag_gain": (0.5 + 1) / 2,
        "drag_angle": (math.degrees(math.atan2(4, 3)) + math.degrees(math.atan2(3, 4))) / 2,
        "points_lost": 0,
        "anchor_drift": 5,
    }
    assert scores == pytest.approx(expected, rel=1e-6)


def test_zoom_is_compared_with_the_mean_of_a_window_of_valid_pixels() -> None:
    scores = scores_of((0.0, 0.0), -0.1, [[2.0, 16.0]], [[0.0, 0.0, -0.2]], hidden=2)
    assert scores == pytest.approx({"zoom_error": 0.1, "zoom_gain": 0.5}, rel=1e-6)


def test_points_that_are_occluded_are_lost_and_count_for_nothing_else() -> None:
    points, motions = [[1.0, 5.0], [20.0, 5.0], [1.0, 9.0]], [[1.0, 0.0, 0.0]] * 2 + [[0.0] * 3]
    scores = scores_of((2.0, 0.0), 0.0, points, motions, hidden=4)
    assert scores["points_lost"] == 0.5
    assert scores["drag_error"] == 1
    assert "anchor_drift" not in scores


def test_points_that_are_not_there_do_not_count() -> None:
    points, motions = [[5.0, 5.0], [9.0, 9.0]], [[1.0, 0.0, 0.0], [9.0, 9.0, 0.0]]
    scores = scores_of((1.0, 0.0), 0.0, points, motions, there=[True, False])
    assert scores["drag_error"] == 0


def test_true_motion_of_the_toy_world_scores_perfectly_and_no_edit_does_not() -> None:
    world = PortraitWorld()
    source, target = (world.sample_layout(0, torch.arange(i, i + 4)) for i in (0, 0))
    target = {name: value.clone() for name, value in target.items()}
    name = next(n for n in target if n in ("x", "translation_x", "shift_x"))
    target[name] = target[name] + 0.1
    flow, log_expansion, valid = world.flow(source, target, 64)
    grid = torch.stack(torch.meshgrid(*[torch.arange(8.0, 64, 8)] * 2, indexing="xy"), -1)
    points = grid.reshape(1, -1, 2).expand(4, -1, 2)
    there = sample_at(valid[:, None].float(), points)[..., 0] == 1
    motions = torch.cat([sample_at(flow, points), torch.zeros(4, 49, 1)], dim=2)
    image = torch.zeros(4, 3, 64, 64)
    errors = []
    for achieved in (flow, torch.zeros_like(flow)):
        metric = EditingAccuracy(Fixed(achieved, log_expansion, valid[:, None]))
        metric.update(image, image, points, motions, there)
        errors.append(metric.compute()["drag_error"].item())
    assert errors[0] < 1e-6
    assert errors[1] > 1


def test_sample_at_interpolates_between_pixels() -> None:
    ramp = torch.arange(8.0) + 10 * torch.arange(6.0)[:, None]
    points = torch.tensor([[[0.0, 0.0], [7.0, 5.0], [2.5, 3.25]]])
    values = sample_at(ramp[None, None], points)
    assert values.flatten().tolist() == pytest.approx([0, 57, 2.5 + 32.5])


def test_angle_of_no_motion_is_a_right_one() -> None:
    a = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    b = torch.tensor([[0.0, 0.0], [-1.0, 0.0], [1.0, 1.0]])
    assert angle_between(a, b).tolist() == pytest.approx([90, 180, 45])


def test_reconstruction_is_squared_error_and_perceptual_distance(toy_assets: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (2, 3, 3, 16, 16), generator=generator)
    image, reconstruction = (pixels / 127.5 - 1).unbind()
    metric = Reconstruction("toy_street")
    for i in range(3):
        metric.update(reconstruction[i : i + 1], image[i : i + 1])
    scores = metric.compute()
    expected = (image - reconstruction).square().mean().item()
    assert scores["reconstruction_mse"].item() == pytest.approx(expected, rel=1e-5)
    distance = build_taps("toy_street").distance(reconstruction, image)
    assert scores["reconstruction_toy"].item() == pytest.approx(distance.mean().item(), rel=1e-6)
    assert to_uint8(image).equal(pixels[0].to(torch.uint8))


def test_errors_say_what_is_wrong(toy_assets: Path) -> None:
    estimator = Fixed(torch.zeros(1), torch.zeros(1), torch.zeros(1))
    with pytest.raises(ValueError, match="must be odd"):
        EditingAccuracy(estimator, zoom_window=4)
    image, there = torch.zeros(1, 3, 8, 8), torch.ones(1, 2, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"motions \(B, K, 3\).*\(1, 2, 2\), \(1, 2, 2\)"):
        EditingAccuracy(estimator).update(
            image, image, torch.zeros(1, 2, 2), torch.zeros(1, 2, 2), there
        )
    with pytest.raises(ValueError, match="must have the shape of its image"):
        Reconstruction("toy_street").update(image, image[..., :4])
