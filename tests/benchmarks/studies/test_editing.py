"""The studies of editors: regions, targets and landmarks."""

import pytest
import torch
from torch import Tensor, nn

from benchmarks.studies import editing_landmarks, editing_regions, editing_targets, editing_tasks
from benchmarks.studies.editing import change_at
from benchmarks.studies.editing_tasks import WORLD, Task
from semsynth.data.toy.world import Rendering
from semsynth.editing import Canvas
from semsynth.methods.opening import load_editor
from semsynth.networks.motion.marks import Marks


@pytest.fixture(scope="module")
def portraits() -> Rendering:
    index = torch.arange(8)
    factors = WORLD.sample_layout(0, index), WORLD.sample_appearance(0, index)
    return WORLD.render(*factors, 64)


def test_a_painted_region_holds_the_part_before_and_after_its_drag(portraits: Rendering) -> None:
    image = portraits.image
    seen = editing_tasks.labels(image)
    nose = seen == WORLD.label_space.names.index("nose")
    pixels = [where.nonzero()[0].flip(0).float() for where in nose]
    points = torch.stack(pixels)[:, None]
    motions = torch.tensor([5.0, -2.0, 0.0]).expand(8, 1, 3)
    marks = Marks(points, motions, torch.ones(8, 1, dtype=torch.bool))
    task = Task("drag", image, image, marks, marks.points_mask)
    region = editing_regions.region_of(task, "part")
    for shift in (0, 0.5, 1):
        x, y = (points[:, 0] + shift * motions[:, 0, :2]).round().long().unbind(1)
        assert region[torch.arange(8), y, x].all()
    assert region[nose].all()
    assert 0.03 < region.float().mean() < editing_regions.region_of(task, "head").float().mean()


def test_change_at_pixels_sees_only_these(portraits: Rendering) -> None:
    image = portraits.image
    left = torch.zeros(8, 64, 64, dtype=torch.bool)
    left[..., :24] = True
    after = image.clone()
    after[..., 48:] = 0
    assert change_at(left, image, after).max() < 0.05 * change_at(~left, image, after).min()


def test_the_renderers_answer_is_the_target(portraits: Rendering) -> None:
    target = portraits
    itself = editing_targets.compare(target.image, target.image, target.mask)
    other = editing_targets.compare(target.image.flip(0), target.image, target.mask)
    assert itself["target_distance"] == 0
    assert itself["target_mIoU"] > 80
    assert other["target_distance"] > 0.1
    assert other["target_mIoU"] < 0.8 * itself["target_mIoU"]


class Centre(nn.Module):
    """Finds 68 landmarks at the mean of bright pixels."""

    def forward(self, image: Tensor) -> Tensor:
        weight = (image.mean(1) + 1).flatten(1).softmax(1)
        index = torch.arange(64.0)
        grid = torch.stack(torch.meshgrid(index, index, indexing="xy"), -1).view(-1, 2)
        return (weight @ grid)[:, None].expand(-1, 68, -1)


def test_an_editor_that_draws_the_second_face_has_its_landmarks() -> None:
    canvas = Canvas.of(load_editor("toy_portrait"))
    w_plus, target = editing_landmarks.draw_pairs(canvas, 4, 0.7)
    images = [editing_landmarks.draw(canvas, w) for w in (w_plus, target)]
    start, goal = (Centre()(image) for image in images)

    class Oracle:
        def edit(self, w_plus: Tensor, features: Tensor, *marks: Tensor) -> Tensor:
            return target

    class Idle(Oracle):
        def edit(self, w_plus: Tensor, features: Tensor, *marks: Tensor) -> Tensor:
            return w_plus

    with torch.no_grad():
        oracle, idle = (
            editing_landmarks.measure(
                editor, canvas, w_plus, images[0], images[1], {"": Centre()}, None
            )
            for editor in (Oracle(), Idle())
        )
    for number in (1, 5, 68):
        assert oracle[f"{number}/distance"] == pytest.approx(0, abs=1e-4)
        expected = (start - goal)[:, 0].norm(dim=1).mean().item()
        assert idle[f"{number}/distance"] == pytest.approx(expected, rel=1e-4)


def test_marks_lead_from_landmark_to_landmark_on_the_canvas() -> None:
    start, goal = torch.tensor([[[-2.0, 5.0]]]), torch.tensor([[[3.0, 9.0]]])
    marks = editing_landmarks.marks_between(start, goal, 64)
    assert isinstance(marks, Marks)
    assert marks.points.tolist() == [[[0, 5]]]
    assert marks.motions.tolist() == [[[3, 4, 0]]]
