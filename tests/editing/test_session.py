import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from semsynth.editing import Canvas, EditError, Editor, Mark, Session
from semsynth.networks.noise import seeded_normal

DRAG = Mark(8, 8, 3, 1)


@pytest.fixture
def start(canvas: Canvas, shift: Editor) -> Session:
    return Session.from_sample(canvas, shift, seed=3)


def test_a_session_starts_with_the_sample_of_its_seed(start: Session, canvas: Canvas) -> None:
    expected = canvas.generator(seeded_normal(torch.tensor([3]), 8), truncation=0.7)
    torch.testing.assert_close(start.image(), expected[0].clamp(-1, 1))


def test_one_pass_gives_what_two_passes_give(canvas: Canvas) -> None:
    w_plus = canvas.sample(3, 0.7)
    image, landmarks = canvas.draw_with_landmarks(w_plus)
    torch.testing.assert_close(image, canvas.draw(w_plus))
    torch.testing.assert_close(landmarks, canvas.landmarks(w_plus))


def test_preview_does_not_advance_and_commit_does(start: Session) -> None:
    before = start.w_plus
    edit = start.preview([DRAG])
    assert start.w_plus is before
    committed = start.commit([DRAG])
    assert torch.equal(committed.image, edit.image)
    assert torch.equal(start.w_plus, edit.w_plus)
    assert not torch.equal(start.w_plus, before)


def test_drags_in_sequence_compose(canvas: Canvas, shift: Editor) -> None:
    both, second = (Session.from_sample(canvas, shift, 3) for _ in range(2))
    both.commit([DRAG])
    both.commit([Mark(4, 4, 0, 5)])
    second.commit([Mark(4, 4, 0, 5)])
    assert not torch.equal(both.image(), second.image())
    assert torch.equal(both.w_plus[0, 0, 0], second.w_plus[0, 0, 0] + 3)


def test_undo_and_redo_are_exact_to_the_last_bit(start: Session) -> None:
    states = [start.w_plus]
    actions: list[Callable[[], object]] = [
        lambda: start.commit([DRAG]),
        lambda: start.restyle(9),
        start.reset,
    ]
    for action in actions:
        action()
        states.append(start.w_plus)
    assert torch.equal(states[3], states[0])
    for state in reversed(states[:-1]):
        start.undo()
        assert torch.equal(start.w_plus, state)
    assert not start.can_undo
    for state in states[1:]:
        start.redo()
        assert torch.equal(start.w_plus, state)
    with pytest.raises(EditError, match="nothing to redo"):
        start.redo()


def test_a_step_after_undo_forgets_what_was_undone(start: Session) -> None:
    start.commit([DRAG])
    start.undo()
    start.restyle(4)
    assert not start.can_redo
    assert [step.kind for step in start.steps] == ["sample", "style"]
    start.undo()
    with pytest.raises(EditError, match="nothing to undo"):
        start.undo()


def test_a_change_of_style_keeps_the_layers_that_drags_change(
    start: Session, canvas: Canvas
) -> None:
    start.commit([DRAG])
    moved = start.w_plus
    start.restyle(9)
    assert torch.equal(start.w_plus[:, :3], moved[:, :3])
    assert torch.equal(start.w_plus[:, 3:], canvas.sample(9, 0.7)[:, 3:])


def test_clicks_and_anchors_alone_return_the_identical_code(canvas: Canvas, start: Session) -> None:
    edit = start.preview([Mark(4, 4, 0.6, -0.7), Mark(9, 9)])
    assert edit.w_plus is start.w_plus
    assert [report.reached for report in edit.reports] == [True, True]


def test_the_editor_is_told_of_what_moves_alone(canvas: Canvas) -> None:
    seen: list[Tensor] = []

    class Spy:
        def edit(self, w_plus: Tensor, features: Tensor, points: Tensor, *rest: Tensor) -> Tensor:
            seen.extend([features, points, *rest])
            return w_plus

    session = Session.from_sample(canvas, Spy(), 0)
    session.preview([Mark(1, 2, 3, 4, 0.1), Mark(5, 6), Mark(7, 8, 0.5, 0.5)])
    features, points, motions, mask = seen
    with torch.no_grad():
        assert torch.equal(features, canvas.features(session.w_plus))
    assert points.tolist() == [[[1, 2], [5, 6], [7, 8]]]
    assert torch.equal(motions[0, 1:], torch.zeros(2, 3))
    assert motions[0, 0].tolist() == pytest.approx([3, 4, 0.1])
    assert mask.tolist() == [[True, False, False]]


def test_sessions_share_no_state(canvas: Canvas, shift: Editor) -> None:
    first, second = (Session.from_sample(canvas, shift, 3) for _ in range(2))
    untouched = second.image()
    first.commit([DRAG])
    first.restyle(1)
    assert torch.equal(second.image(), untouched)
    assert not second.can_undo


def test_the_report_says_where_points_went(rolling: Canvas, shift: Editor, halting: Editor) -> None:
    marks = [Mark(30, 30, 6, -4)]
    full = Session.from_sample(rolling, shift, 0).preview(marks).reports[0]
    half = Session.from_sample(rolling, halting, 0).preview(marks).reports[0]
    assert full.requested == (6, -4, 0)
    assert full.achieved == pytest.approx((6, -4, 0), abs=0.3)
    assert full.reached
    assert half.achieved == pytest.approx((3, -2, 0), abs=0.3)
    assert not half.reached


def test_a_saved_trajectory_shows_the_same_images_again(
    canvas: Canvas, start: Session, tmp_path: Path
) -> None:
    images = [start.image()]
    start.commit([DRAG, Mark(2, 2)])
    images.append(start.image())
    images.append(start.restyle(5))
    start.save(tmp_path / "way" / "trajectory.json")

    class Idle:
        def edit(self, w_plus: Tensor, *marks: Tensor) -> Tensor:
            return w_plus

    again = Session.load(tmp_path / "way" / "trajectory.json", canvas, Idle())
    for image in reversed(images):
        assert torch.equal(again.image(), image)
        if again.can_undo:
            again.undo()
    content = json.loads((tmp_path / "way" / "trajectory.json").read_text())
    assert content["steps"][1]["marks"][0] == {"x": 8, "y": 8, "dx": 3, "dy": 1, "log_expansion": 0}
    assert not list(tmp_path.rglob("*.part"))


def test_files_that_hold_no_trajectory_of_this_generator_are_refused(
    canvas: Canvas, shift: Editor, start: Session, tmp_path: Path
) -> None:
    path = tmp_path / "t.json"
    with pytest.raises(EditError, match="cannot be read"):
        Session.load(path, canvas, shift)
    path.write_text("[]")
    with pytest.raises(EditError, match="is not a semsynth trajectory"):
        Session.load(path, canvas, shift)
    start.save(path)
    content = json.loads(path.read_text())
    for change, message in (
        ({"prior": "0" * 64}, "another generator"),
        ({"canvas_size": 64}, "canvas of 64"),
        ({"steps": []}, "no step"),
        ({"steps": [{"kind": "sample", "w_plus": "AAAA"}]}, "damaged"),
    ):
        path.write_text(json.dumps(content | change))
        with pytest.raises(EditError, match=message):
            Session.load(path, canvas, shift)


BAD = {
    "Mark 1 must be finite": [Mark(math.nan, 3, 2, 2)],
    "Mark 2 must be finite": [Mark(3, 3, 2, 2), Mark(3, 3, math.inf, 2)],
    "inside the image": [Mark(16, 3, 2, 2)],
    r"0..15 in x and y; got point \[-1": [Mark(-1, 3, 2, 2)],
    "more than the image's 16 pixels": [Mark(3, 3, 12, 12)],
    "factor of 4": [Mark(3, 3, log_expansion=-2)],
    "At most 64 marks.*got 10000": [Mark(3, 3, 2, 2)] * 10_000,
}


@pytest.mark.parametrize("message", BAD)
def test_marks_that_cannot_be_followed_are_refused(start: Session, message: str) -> None:
    before = start.w_plus
    with pytest.raises(EditError, match=message):
        start.commit(BAD[message])
    assert start.w_plus is before
    assert not start.can_undo


def test_marks_from_outside_must_hold_numbers_of_known_names() -> None:
    assert Mark.parse({"x": 1, "y": "2", "dx": 3}) == Mark(1, 2, 3)
    for values in ({"x": 1}, {"x": 1, "y": 2, "z": 3}, {"x": 1, "y": "a"}, [1, 2]):
        with pytest.raises(EditError, match="dictionary of numbers"):
            Mark.parse(values)


def test_an_editor_that_loses_the_image_is_noticed(canvas: Canvas) -> None:
    class Broken:
        def edit(self, w_plus: Tensor, *marks: Tensor) -> Tensor:
            return w_plus * math.nan

    with pytest.raises(EditError, match="diverged: its latents are NaN"):
        Session.from_sample(canvas, Broken(), 0).commit([DRAG])


def test_a_photo_is_inverted_with_progress(canvas: Canvas, shift: Editor) -> None:
    photo = canvas.draw(canvas.sample(1, 0.7))[0]
    calls: list[tuple[int, int]] = []
    session = Session.from_image(
        canvas, shift, photo, steps=40, progress=lambda done, total: calls.append((done, total))
    )
    assert calls == [(step, 40) for step in range(1, 41)]
    mean = canvas.draw(canvas.generator.repeat(canvas.generator.mean_latent[None]))[0]
    assert (session.image() - photo).square().mean() < 0.5 * (mean - photo).square().mean()
    session.commit([DRAG])
    assert session.steps[0].kind == "image"


def test_the_past_is_not_part_of_a_graph(start: Session) -> None:
    start.commit([DRAG])
    assert not start.w_plus.requires_grad
    assert start.w_plus.is_inference()
