import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from semsynth.data.toy import PortraitWorld
from semsynth.images import to_uint8
from semsynth.metrics import EditingAccuracy, Reconstruction, TrackingAccuracy
from semsynth.metrics.editing import angle_between, sample_at
from semsynth.metrics.parts import PartMotion
from semsynth.metrics.perceptual import build_taps
from semsynth.networks.motion.geometry import Motion
from semsynth.networks.motion.marks import Marks


class Fixed:
    """An estimator that knows the answer."""

    def __init__(self, flow: Tensor, log_expansion: Tensor, valid: Tensor) -> None:
        self.answer = Motion(flow, log_expansion, valid)

    def __call__(self, image_a: Tensor, image_b: Tensor) -> Motion:
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
    metric.update(image, image, Marks(torch.tensor([points]), torch.tensor([motions]), mask))
    scores = metric.compute()
    assert all(name.endswith("_fixed") for name in scores)
    return {name.removesuffix("_fixed"): score.item() for name, score in scores.items()}


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
        metric.update(image, image, Marks(points, motions, there))
        errors.append(metric.compute()["drag_error_fixed"].item())
    assert errors[0] < 1e-6
    assert errors[1] > 1


def portraits(shift: float, zoom: float) -> tuple[Tensor, Tensor]:
    """Eight true portraits before and after a shift to the right or a zoom."""
    world, index = PortraitWorld(), torch.arange(8)
    layout, appearance = world.sample_layout(0, index), world.sample_appearance(0, index)
    moved = layout | {"shift_x": layout["shift_x"] + shift, "zoom": layout["zoom"] * zoom}
    before, after = (world.render(pose, appearance, 64).image for pose in (layout, moved))
    return before, after


def test_parts_tell_the_true_motion_of_the_renderer() -> None:
    before, after = portraits(shift=4 / 32, zoom=1.0)
    parts = PartMotion("toy_portrait")
    centre = parts.parts(before)[1][:, 4:7].float()  # eyes, nose and mouth
    points = centre[:, 1:].round()  # eyes have their centre between them
    motions = torch.tensor([4.0, 0.0, 0.0]).expand(8, 2, 3)
    metric = EditingAccuracy("parts:toy_portrait")
    metric.update(before, after, Marks(points, motions, torch.ones(8, 2, dtype=torch.bool)))
    scores = metric.compute()
    assert scores["drag_error_parts"] < 0.5
    assert scores["drag_gain_parts"] == pytest.approx(1, abs=0.1)
    assert metric.protocol()["segmenter"] == "toy_portrait"


def test_parts_tell_the_true_zoom_and_nothing_of_the_background() -> None:
    before, after = portraits(shift=0.0, zoom=1.15)
    _, log_expansion, valid = PartMotion("toy_portrait")(before, after)
    seen = valid[:, 0].double().mean(dim=(1, 2))
    assert ((seen > 0.1) & (seen < 0.95)).all()
    assert not valid[:, 0, 0, 0].any()
    # Cloth and long hair are cut by the border, and do not grow as they should
    face, there = log_expansion[..., 24:40, 24:40], valid[..., 24:40, 24:40]
    mean = (face * there).sum() / there.sum()
    assert mean.item() == pytest.approx(-math.log(1.15), abs=0.04)


def test_tracking_tells_how_far_features_moved() -> None:
    features = torch.randn(1, 8, 32, 32, generator=torch.Generator().manual_seed(0))
    features = torch.nn.functional.avg_pool2d(features, 3, 1, 1)
    metric = TrackingAccuracy()
    points = torch.tensor([[[12.0, 13.0], [20.0, 18.0]]])
    motions = torch.tensor([[[3.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    there = torch.ones(1, 2, dtype=torch.bool)
    moved = features.roll((1, 2), (2, 3))  # one down, two to the right
    metric.update(torch.zeros(1, 3, 32, 32), features, moved, Marks(points, motions, there))
    scores = {name: value.item() for name, value in metric.compute().items()}
    assert scores["drag_error_features"] == pytest.approx(2**0.5, abs=0.05)
    assert scores["drag_gain_features"] == pytest.approx(2 / 3, abs=0.05)
    assert scores["anchor_drift_features"] == pytest.approx(5**0.5, abs=0.05)
    assert scores["points_lost_features"] == 0


def test_tracking_loses_points_that_do_not_lead_back() -> None:
    generator = torch.Generator().manual_seed(0)
    before, after = torch.randn(2, 1, 8, 32, 32, generator=generator).unbind(0)
    grid = torch.arange(8.0, 26, 4)
    points = torch.cartesian_prod(grid, grid)[None]
    motions = torch.tensor([4.0, 0.0, 0.0]).expand(1, len(points[0]), 3)
    metric = TrackingAccuracy()
    there = torch.ones(1, len(points[0]), dtype=torch.bool)
    metric.update(torch.zeros(1, 3, 32, 32), before, after, Marks(points, motions, there))
    assert metric.compute()["points_lost_features"] > 0.3


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
            image, image, Marks(torch.zeros(1, 2, 2), torch.zeros(1, 2, 2), there)
        )
    with pytest.raises(ValueError, match="must have the shape of its image"):
        Reconstruction("toy_street").update(image, image[..., :4])
