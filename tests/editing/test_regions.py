import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from semsynth.editing import Canvas, EditError, Editor, Mark, Session, frames_of
from semsynth.editing.regions import ANCHORS_REACH, region_of, territory
from semsynth.images import to_uint8
from semsynth.networks.motion.marks import Marks

DRAG = Mark(3, 8, 4, 1)
FAR = 5  # pixels from a region's border beyond which nothing of the other side is seen


@pytest.fixture
def session(canvas: Canvas, shift: Editor) -> Session:
    return Session.from_sample(canvas, shift, seed=3)


@pytest.fixture
def left() -> Tensor:
    region = torch.zeros(16, 16, dtype=torch.bool)
    region[:, :8] = True
    return region


def test_an_edit_shows_the_edited_image_inside_its_region_and_the_old_one_outside(
    session: Session, left: Tensor
) -> None:
    before, everywhere = session.image(), session.preview([DRAG]).image
    edited = session.commit([DRAG], left).image
    torch.testing.assert_close(edited[..., 8 + FAR :], before[..., 8 + FAR :])
    torch.testing.assert_close(edited[..., : 8 - FAR], everywhere[..., : 8 - FAR])
    assert (everywhere - before)[..., 8 + FAR :].abs().max() > 0.01
    assert torch.equal(session.image(), edited)


def test_a_region_of_the_whole_canvas_is_none(session: Session) -> None:
    everywhere = torch.ones(16, 16, dtype=torch.bool)
    plain, edited = session.preview([DRAG]), session.preview([DRAG], everywhere)
    torch.testing.assert_close(edited.image, plain.image)


def test_drags_in_a_region_hold_what_was_there_before_the_first(
    session: Session, left: Tensor
) -> None:
    before = session.image()
    session.commit([DRAG], left)
    again = session.commit([DRAG], left.clone())
    assert len(session.steps[-1].held) == 1
    torch.testing.assert_close(again.image[..., 8 + FAR :], before[..., 8 + FAR :])


def test_a_second_region_keeps_what_the_first_shows(session: Session, left: Tensor) -> None:
    first = session.commit([DRAG], left).image
    second = session.commit([Mark(14, 8, -3, 2)], ~left).image
    assert len(session.steps[-1].held) == 2
    torch.testing.assert_close(second[..., : 8 - FAR], first[..., : 8 - FAR])
    assert (second - first)[..., 8 + FAR :].abs().max() > 0.01


def test_a_drag_elsewhere_starts_from_what_is_shown_there(session: Session, left: Tensor) -> None:
    start = session.w_plus[0, 0, :2]
    session.commit([DRAG], left)
    session.commit([Mark(14, 8, -3, 2)], ~left)
    torch.testing.assert_close(session.w_plus[0, 0, :2] - start, torch.tensor([-3.0, 2.0]))


def test_a_drag_without_a_region_and_a_style_also_change_what_earlier_ones_held(
    session: Session, left: Tensor, canvas: Canvas
) -> None:
    session.commit([DRAG], left)
    held = session.steps[-1].held[0].w_plus
    session.commit([Mark(8, 8, 2, -1)])
    moved = session.steps[-1].held[0].w_plus
    torch.testing.assert_close((moved - held)[0, 0, :2], torch.tensor([2.0, -1.0]))
    session.restyle(9)
    styled = session.steps[-1].held[0].w_plus
    assert torch.equal(styled[:, :3], moved[:, :3])
    assert torch.equal(styled[:, 3:], canvas.sample(9, 0.7)[:, 3:])


def test_previews_in_a_region_draw_what_it_holds_once(
    session: Session, left: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Tensor] = []
    held = Canvas.held

    def counted(canvas: Canvas, w_plus: Tensor, region: Tensor) -> Canvas:
        calls.append(region)
        return held(canvas, w_plus, region)

    monkeypatch.setattr(Canvas, "held", counted)
    for x in range(4):
        session.preview([Mark(3, 8, 1 + x, 1)], left.clone())
    assert len(calls) == 1


def test_a_trajectory_with_regions_shows_the_same_images_again(
    session: Session, canvas: Canvas, shift: Editor, left: Tensor, tmp_path: Path
) -> None:
    images = [session.commit([DRAG], left).image]
    images.append(session.commit([Mark(14, 8, -3, 2)], ~left).image)
    path = tmp_path / "t.json"
    session.save(path)
    again = Session.load(path, canvas, shift)
    assert torch.equal(again.image(), images[1])
    again.undo()
    assert torch.equal(again.image(), images[0])
    content = json.loads(path.read_text())
    content["steps"][1]["held"][0]["region"] = "AAAA"
    path.write_text(json.dumps(content))
    with pytest.raises(EditError, match="region in the trajectory is damaged"):
        Session.load(path, canvas, shift)
    content["steps"][1]["held"] = [{}]
    path.write_text(json.dumps(content))
    with pytest.raises(EditError, match="no latents or no region"):
        Session.load(path, canvas, shift)


def test_films_of_regions_lead_through_the_images_of_their_steps(
    session: Session, canvas: Canvas, left: Tensor
) -> None:
    images = [session.image(), session.commit([DRAG], left).image]
    images.append(session.commit([Mark(14, 8, -3, 2)], ~left).image)
    session.reset()
    frames = frames_of(canvas, session.steps, between=2)
    for number, image in zip((0, 2, 4, 6), [*images, images[0]], strict=True):
        assert (frames[number].int() - to_uint8(image).int()).abs().max() <= 1


def test_the_image_around_anchors_stays(session: Session, left: Tensor) -> None:
    before = session.image()
    edited = session.commit([Mark(3, 8, 2, 1), Mark(12, 8)]).image
    free = session.steps[-1].held[0].region
    assert free[8].tolist() == [True] * 8 + [False] * 8
    assert not free[:, 11:].any()
    torch.testing.assert_close(edited[:, 7:10, 14:], before[:, 7:10, 14:])
    session.undo()
    session.commit([Mark(3, 8, 2, 1), Mark(12, 8)], left & (torch.arange(16) < 10)[:, None])
    assert not session.steps[-1].held[0].region[10:].any()


def test_the_territory_of_a_drag_equals_a_loop_over_pixels() -> None:
    points = torch.tensor([[[2.0, 3.0], [10.0, 12.0], [13.0, 2.0]]])
    motions = torch.zeros(1, 3, 3)
    motions[0, 0, :2] = torch.tensor([4.0, 2.0])
    marks = Marks(points, motions, torch.tensor([[True, True, False]]))
    found = territory(marks, 16)[0]
    for y in range(16):
        for x in range(16):
            share = min(max(((x - 2) * 4 + (y - 3) * 2) / 20, 0), 1)
            near = math.dist((x, y), (2 + 4 * share, 3 + 2 * share))
            assert found[y, x] == (ANCHORS_REACH * near < math.dist((x, y), (10, 12)))
    assert territory(marks._replace(points_mask=torch.tensor([[True, False, False]])), 16).all()


def test_regions_that_cannot_be_used_are_refused(session: Session, left: Tensor) -> None:
    with pytest.raises(EditError, match=r"Mark 2 at \(12, 3\) lies outside of the region"):
        session.preview([DRAG, Mark(12, 3, 2, 2)], left)
    with pytest.raises(EditError, match=r"bool mask of the canvas, \(16, 16\), got"):
        session.preview([DRAG], left[:8])


def test_the_white_part_of_a_picture_is_a_region() -> None:
    picture = torch.zeros(3, 4, 4, dtype=torch.uint8)
    picture[:, :2, :2] = 255
    picture[:, 2:, 2:] = 40
    expected = torch.tensor([[True, False], [False, False]])
    assert torch.equal(region_of(picture, 2), expected)
