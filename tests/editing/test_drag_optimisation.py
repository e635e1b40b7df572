import pytest
import torch
from torch import Tensor

from semsynth.editing import Canvas, DragOptimisation, Mark, Session
from semsynth.metrics.parts import PartMotion
from semsynth.weights.priors import load_generator

NOSE = 5


@pytest.fixture(scope="module")
def portraits() -> Canvas:
    return Canvas(load_generator("toy_portrait"), 64, 32, num_tokens=4)


def noses(canvas: Canvas, w_plus: Tensor) -> Tensor:
    """Centres (B, 2) of the noses that a segmenter sees."""
    with torch.no_grad():
        return PartMotion("toy_portrait").parts(canvas.draw(w_plus))[1][:, NOSE].float()


def test_it_brings_noses_of_the_shipped_prior_nearer_to_their_targets(portraits: Canvas) -> None:
    w_plus = torch.cat([portraits.sample(seed, 0.7) for seed in range(3)])
    before = noses(portraits, w_plus)
    motion = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 3.0]])
    motions = torch.cat([motion, torch.zeros(3, 1)], dim=1)[:, None]
    mask = torch.ones(3, 1, dtype=torch.bool)
    after = DragOptimisation(portraits, steps=25).edit(
        w_plus, portraits.features(w_plus), before[:, None], motions, mask
    )
    left = (noses(portraits, after) - before - motion).norm(dim=1)
    assert (left < 2.5).all()
    assert left.mean() < 2
    assert torch.equal(after[:, 4:], w_plus[:, 4:])


def test_images_are_optimised_independently(canvas: Canvas) -> None:
    w_plus = torch.cat([canvas.sample(seed, 0.7) for seed in range(2)])
    points = torch.tensor([[[5.0, 5.0]], [[9.0, 8.0]]])
    motions = torch.tensor([[[3.0, 0.0, 0.0]], [[0.0, 0.0, -0.3]]])
    mask = torch.ones(2, 1, dtype=torch.bool)
    editor = DragOptimisation(canvas, steps=5)
    both = editor.edit(w_plus, w_plus, points, motions, mask)
    for i in range(2):
        one = slice(i, i + 1)
        alone = editor.edit(w_plus[one], w_plus, points[one], motions[one], mask[one])
        torch.testing.assert_close(both[one], alone, rtol=1e-3, atol=1e-3)
        assert not torch.equal(alone, w_plus[one])


def test_anchors_alone_change_nothing(canvas: Canvas) -> None:
    w_plus = canvas.sample(0, 0.7)
    points, motions = torch.full((1, 1, 2), 5.0), torch.zeros(1, 1, 3)
    mask = torch.ones(1, 1, dtype=torch.bool)
    assert torch.equal(DragOptimisation(canvas).edit(w_plus, w_plus, points, motions, mask), w_plus)


def test_what_is_outside_a_region_changes_less(canvas: Canvas) -> None:
    w_plus = canvas.sample(0, 0.7)
    points, motions = torch.full((1, 1, 2), 4.0), torch.tensor([[[4.0, 0.0, 0.0]]])
    mask = torch.ones(1, 1, dtype=torch.bool)
    region = torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    region[..., :8, :] = True
    editor = DragOptimisation(canvas, steps=15, keep_weight=100)
    before = canvas.draw(w_plus)
    changes = [
        (canvas.draw(editor.edit(w_plus, w_plus, points, motions, mask, r)) - before)[:, :, 8:]
        .abs()
        .mean()
        for r in (None, region)
    ]
    assert changes[1] < changes[0]


def test_it_works_within_a_session_and_reports_progress(canvas: Canvas) -> None:
    calls: list[tuple[int, int]] = []
    editor = DragOptimisation(canvas, steps=3, progress=lambda a, b: calls.append((a, b)))
    session = Session.from_sample(canvas, editor, 0)
    before = session.w_plus
    session.commit([Mark(5, 5, 4, 0)])
    assert not torch.equal(session.w_plus, before)
    assert calls == [(1, 3), (2, 3), (3, 3)]
