import pytest
import torch
from torch import Tensor

from semsynth.editing import Canvas, ClosedLoop, Editor
from tests.editing.conftest import Shift

POINTS = torch.tensor([[[30.0, 30.0], [20.0, 40.0]], [[40.0, 22.0], [33.0, 33.0]]])
MOTIONS = torch.tensor([[[6.0, -3.0, 0.0]] * 2, [[-2.0, 5.0, 0.0]] * 2])
MASK = torch.ones(2, 2, dtype=torch.bool)


def edited(editor: Editor, canvas: Canvas) -> tuple[Tensor, Tensor]:
    start = canvas.generator.repeat(torch.zeros(2, canvas.generator.w_dim)).clone()
    after = editor.edit(start, canvas.features(start), POINTS, MOTIONS, MASK)
    return after[:, 0, :2], MOTIONS[:, 0, :2]


@pytest.mark.parametrize("gain", [0.4, 1.0, 1.5])
def test_it_corrects_an_editor_with_a_wrong_gain(rolling: Canvas, gain: float) -> None:
    open_loop, wanted = edited(Shift(gain), rolling)
    closed, _ = edited(ClosedLoop(Shift(gain), rolling, rounds=5, gain=1.0), rolling)
    error = (closed - wanted).norm(dim=1)
    assert (error <= (open_loop - wanted).norm(dim=1) + 1e-6).all()
    assert (error < 0.6).all()  # 0.4 leaves 0.6 ** 5 of what was missing


def test_it_stops_when_all_points_have_arrived(rolling: Canvas) -> None:
    editor = Shift()
    edited(ClosedLoop(editor, rolling), rolling)
    assert len(editor.calls) == 1


def test_it_keeps_the_best_edit_of_an_editor_that_goes_the_wrong_way(rolling: Canvas) -> None:
    start = rolling.generator.repeat(torch.zeros(2, 8)).clone()
    request = (rolling.features(start), POINTS, MOTIONS / 3, MASK)
    first = Shift(-1.0).edit(start, *request)
    after = ClosedLoop(Shift(-1.0), rolling, rounds=3).edit(start, *request)
    assert torch.equal(after, first)


def test_anchors_are_exact_zeros_in_every_round(rolling: Canvas) -> None:
    editor = Shift()
    start = rolling.generator.repeat(torch.zeros(1, 8)).clone()
    motions = torch.tensor([[[4.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    ClosedLoop(editor, rolling, rounds=2, gain=0.5).edit(
        start, rolling.features(start), POINTS[:1], motions, MASK[:1]
    )
    first, second = (asked for _, asked, _ in editor.calls)
    assert torch.equal(first[0, 1], torch.zeros(3))
    assert torch.equal(second[0, 1], torch.zeros(3))
    assert second[0, 0].tolist() == pytest.approx([4 + 0.5 * 2, 0, 0], abs=0.2)  # it went two


def test_marks_that_are_not_there_do_not_count(rolling: Canvas) -> None:
    start = rolling.generator.repeat(torch.zeros(1, 8)).clone()
    motions = torch.tensor([[[4.0, 0.0, 0.0], [4.0, 0.0, 0.0]]])
    one = ClosedLoop(Shift(0.5), rolling).edit(
        start, rolling.features(start), POINTS[:1, :1], motions[:, :1], MASK[:1, :1]
    )
    hidden = torch.tensor([[True, False]])
    two = ClosedLoop(Shift(0.5), rolling).edit(
        start, rolling.features(start), POINTS[:1], motions, hidden
    )
    torch.testing.assert_close(one, two)


def test_there_must_be_a_round(rolling: Canvas) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        ClosedLoop(Shift(), rolling, rounds=0)
