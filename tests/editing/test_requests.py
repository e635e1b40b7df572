import torch
from torch import Tensor

from semsynth.editing.requests import draw_drags, draw_pixels, draw_requests, draw_zooms, edges
from semsynth.networks.noise import sample_seed

SEED = sample_seed(0, torch.arange(200))
EVEN = torch.ones(200, 64, 64)


def test_drags_have_the_lengths_asked_for_and_stay_inside_the_image() -> None:
    points, motions, mask = draw_drags(SEED, EVEN, 2, 8)
    length = motions[:, 0, :2].norm(dim=1)
    assert mask.all()
    assert ((length >= 2) & (length <= 8)).all()
    assert length.min() < 2.5
    assert length.max() > 7.5
    target = points[:, 0] + motions[:, 0, :2]
    assert ((target >= 0) & (target <= 63)).all()
    assert torch.equal(motions[..., 2], torch.zeros(200, 1))


def test_marks_are_drawn_by_weight_alone() -> None:
    weight = torch.zeros(200, 64, 64)
    weight[:, 10, 20], weight[:, 40, 50] = 3.0, 1.0
    points = draw_pixels(SEED, weight, 1)[:, 0]
    first = (points == torch.tensor([20.0, 10.0])).all(dim=1)
    second = (points == torch.tensor([50.0, 40.0])).all(dim=1)
    assert (first | second).all()
    assert 0.65 < first.double().mean() < 0.85


def test_anchors_are_still_different_and_far_from_the_drag() -> None:
    points, motions, mask = draw_drags(SEED, EVEN, 2, 8, num_anchors=8)
    assert points.shape == (200, 9, 2)
    assert mask.all()
    assert not motions[:, 1:].any()
    assert ((points[:, 1:] - points[:, :1]).norm(dim=2) >= 12).all()
    assert all(len({tuple(p) for p in row.tolist()}) == 9 for row in points)


def test_targets_that_are_refused_are_not_asked_for() -> None:
    def to_the_right(start: Tensor, target: Tensor) -> Tensor:
        return target[..., 0] > start[:, None, 0]

    _, motions, mask = draw_drags(SEED, EVEN, 2, 8, accept=to_the_right)
    assert (motions[:, 0, 0][mask[:, 0]] > 0).all()
    none = draw_drags(SEED, EVEN, 2, 8, accept=lambda start, target: target[..., 0] > 99)
    assert not none.points_mask.any()


def test_zooms_go_in_and_out() -> None:
    _, motions, mask = draw_zooms(SEED, EVEN, 0.05, 0.2)
    size = motions[:, 0, 2].abs()
    assert mask.all()
    assert ((size >= 0.05) & (size <= 0.2)).all()
    assert 0.4 < (motions[:, 0, 2] < 0).double().mean() < 0.6


def test_requests_are_drags_anchored_drags_and_zooms_that_depend_on_their_seed_alone() -> None:
    requests = draw_requests(SEED, EVEN)
    zooms = requests.motions[:, 0, 2] != 0
    anchored = requests.points_mask.sum(dim=1) == 5
    assert 0.15 < zooms.double().mean() < 0.35
    assert 0.15 < anchored.double().mean() < 0.35
    assert not (zooms & anchored).any()
    assert requests.points_mask[:, 0].all()
    for whole, part in zip(requests, draw_requests(SEED[7:9], EVEN[7:9]), strict=True):
        assert torch.equal(whole[7:9], part)


def test_edges_are_where_features_change() -> None:
    features = torch.zeros(1, 2, 32, 32)
    features[:, 0, :, :16], features[:, 1, :, 16:] = 1.0, 1.0
    weight = edges(features, 64)[0]
    assert weight.shape == (64, 64)
    assert weight[:, 29:33].min() > 0
    assert not weight[:, :28].any()
    assert not weight[:, 36:].any()
