from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from scipy.special import log_softmax
from torch import Tensor

from semsynth.networks.fewshot.pseudo_labels import (
    DensePrototypes,
    LinearReadout,
    SparseBank,
    downsample_labels,
    stack_features,
    surest_labels,
)
from tests.helpers.checks import assert_compiles

C, SIZE = 24, 12
KINDS = ["dense", "sparse", "readout"]


def make(kind: str, num_classes: int = 9) -> Any:
    if kind == "sparse":
        return SparseBank(num_classes, threshold=0.2)
    if kind == "readout":
        return LinearReadout(num_classes)
    return DensePrototypes(num_classes)


def shots(num_classes: int, count: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Features that go with labels to some degree; every fourth class is in no shot."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(num_classes, (count, SIZE, SIZE), generator=draw)
    if num_classes > 3:
        labels[labels % 4 == 3] = 255
    directions = torch.randn(256, C, generator=torch.Generator().manual_seed(1))
    noise = torch.randn(count, SIZE, SIZE, C, generator=draw)
    return (directions[labels] + noise).movedim(-1, 1).contiguous(), labels


def fitted(kind: str) -> Any:
    labeller = make(kind)
    labeller.fit(*shots(9))
    return labeller


def prototypes_by_loops(features: Tensor, labels: Tensor, num_classes: int) -> list[Any]:
    """Section by section: the mean of each image's mean, normalised; None if never seen."""
    prototypes: list[Any] = []
    for k in range(num_classes):
        means = [f[:, y == k].mean(1) for f, y in zip(features, labels, strict=True) if k in y]
        mean = sum(means) / len(means) if means else None
        prototypes.append(None if mean is None else mean / (mean.norm() + 1e-8))
    return prototypes


def label_densely_by_loops(prototypes: list[Any], features: Tensor) -> Tensor:
    B, _, h, w = features.shape
    labels = torch.zeros(B, h, w, dtype=torch.long)
    for b in range(B):
        for y in range(h):
            for x in range(w):
                pixel = features[b, :, y, x]
                pixel, best = pixel / (pixel.norm() + 1e-8), -torch.inf
                for k, prototype in enumerate(prototypes):
                    if prototype is not None and (cosine := float(prototype @ pixel)) > best:
                        best, labels[b, y, x] = cosine, k
    return labels


def label_sparsely_by_loops(bank: SparseBank, shots: Any, features: Tensor) -> Tensor:
    B, _, h, w = features.shape
    result = torch.zeros(B, h * w, dtype=torch.long)
    for b in range(B):
        best = torch.zeros(h * w)
        similar = F.normalize(features[b].flatten(1), dim=0)
        for k in range(1, bank.num_classes):
            for f, y in zip(*shots, strict=True):
                for vector in F.normalize(f[:, y == k], dim=0).t():
                    values, pixels = (vector @ similar).topk(bank.topk)
                    for value, pixel in zip(values.tolist(), pixels.tolist(), strict=True):
                        if value > bank.threshold and value > best[pixel] + 1e-6:
                            best[pixel], result[b, pixel] = value, k
    return result.view(B, h, w)


@pytest.mark.parametrize("num_classes", [2, 9, 71, 151])
def test_dense_labels_equal_loops_over_pixels_and_classes(num_classes: int) -> None:
    features, labels = shots(num_classes)
    query = shots(num_classes, 2, seed=5)[0]
    labeller = make("dense", num_classes)
    labeller.fit(features, labels)
    expected = label_densely_by_loops(prototypes_by_loops(features, labels, num_classes), query)
    assert torch.equal(labeller(query), expected)
    assert expected.unique().numel() > 1


@pytest.mark.parametrize("num_classes", [2, 9, 71, 151])
def test_sparse_labels_equal_loops_over_vectors(num_classes: int) -> None:
    features, labels = shots(num_classes, 1)
    query = shots(num_classes, 2, seed=5)[0]
    labels[torch.rand(labels.shape, generator=torch.Generator().manual_seed(2)) < 0.7] = 0
    labeller = make("sparse", num_classes)
    labeller.fit(features, labels)
    expected = label_sparsely_by_loops(labeller, (features, labels), query)
    assert torch.equal(labeller(query), expected)
    assert 0 < expected.count_nonzero() < expected.numel()


def axes(indices: list[int]) -> Tensor:
    """Features (1, 4, 1, n) of unit vectors along axes, whose products are exact."""
    return torch.eye(4)[indices].t().reshape(1, 4, 1, -1)


def test_of_classes_with_equal_cosine_the_smaller_one_is_given() -> None:
    labels = torch.tensor([[[0, 5, 2, 4]]])
    for labeller in (DensePrototypes(6), SparseBank(6, topk=1)):
        labeller.fit(axes([3, 0, 0, 1]), labels)
        assert labeller(axes([0, 1])).tolist() == [[[2, 4]]]


def test_unseen_class_is_not_given_where_all_cosines_are_negative() -> None:
    labeller = DensePrototypes(3)
    labeller.fit(axes([0, 1]), torch.tensor([[[1, 2]]]))
    query = torch.tensor([-1.0, -2.0, 0.0, 0.0]).view(1, 4, 1, 1)
    assert labeller(query).item() == 1
    assert labeller.scores(query)[0, 0].item() == -torch.inf


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_classes", [2, 9, 151])
def test_no_labeller_gives_a_class_that_no_shot_shows(kind: str, num_classes: int) -> None:
    features, labels = shots(num_classes)
    labeller = make(kind, num_classes)
    labeller.fit(features, labels)
    given = labeller(-shots(num_classes, 4, seed=3)[0]).unique().tolist()
    assert set(given) <= {0, *labels.unique().tolist()} - {255}


def test_images_weigh_the_same_whatever_their_number_of_pixels() -> None:
    features = torch.cat([axes([0, 0, 0, 0]), axes([1, 2, 2, 2])])
    labels = torch.tensor([[[1, 1, 1, 1]], [[1, 0, 0, 0]]])
    labeller = DensePrototypes(2)
    labeller.fit(features, labels)
    expected = torch.tensor([0.5**0.5, 0.5**0.5, 0, 0])
    torch.testing.assert_close(labeller.prototypes[1, 0], expected)


def test_votes_at_or_below_the_threshold_and_beyond_topk_are_unknown() -> None:
    labeller = SparseBank(3, topk=2, threshold=0.5)
    labeller.fit(axes([0]), torch.tensor([[[2]]]))
    cosines = torch.tensor([0.9, 0.7, 0.8, 0.5])
    query = torch.stack([cosines, (1 - cosines**2).sqrt(), 0 * cosines, 0 * cosines])
    assert labeller(query.view(1, 4, 1, 4)).tolist() == [[[2, 0, 2, 0]]]
    assert labeller(query[:, 3:].view(1, 4, 1, 1)).tolist() == [[[0]]]


def test_readout_is_the_logistic_regression_that_scipy_finds() -> None:
    features, labels = shots(4)
    labeller = LinearReadout(4, decay=0.01)
    labeller.fit(features, labels)
    rows, classes, weights = [], [], []
    for f, y in zip(features, labels, strict=True):
        for k in range(3):  # 3 is in no shot
            for vector in f[:, y == k].t():
                rows.append((vector / vector.norm()).numpy())
                classes.append(k)
                weights.append(int((y == k).sum()) ** -0.5)
    x, share = np.stack(rows).astype(np.float64), np.array(weights) / sum(weights)

    def objective(flat: np.ndarray) -> float:
        W, b = flat[: 3 * C].reshape(3, C), flat[3 * C :]
        errors = -log_softmax(x @ W.T + b, 1)[np.arange(len(x)), classes]
        return float(share @ errors + 0.01 * np.square(W).sum())

    best = minimize(objective, np.zeros(3 * C + 3), method="L-BFGS-B", options={"maxfun": 10**5})
    W, b = labeller.weight, labeller.bias
    found = torch.cat([W[:3].flatten(), b[:3]]).double().numpy()
    assert objective(found) < best.fun + 1e-5
    np.testing.assert_allclose(W[:3].flatten(), best.x[: 3 * C], atol=0.02)
    assert b[3] == -1e4


def test_readout_learns_the_same_without_gradients_and_under_autocast() -> None:
    features, labels = shots(9)
    expected = LinearReadout(9)
    expected.fit(features, labels)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        labeller = LinearReadout(9)
        labeller.fit(features, labels)
    assert torch.equal(labeller.weight, expected.weight)
    assert not labeller.weight.requires_grad


def several_layers(count: int) -> list[Tensor]:
    features, _ = shots(9, count)
    return [features, F.avg_pool2d(features, 2) + 1, 3 * F.max_pool2d(features, 3)]


@pytest.mark.parametrize("size", [6, 12, 24])
def test_readout_of_layers_is_that_of_their_interpolated_unit_vectors(size: int) -> None:
    maps, labels = several_layers(3), shots(9)[1]
    small = downsample_labels(labels, size)
    labeller, other = LinearReadout(9), LinearReadout(9)
    labeller.fit(maps, small)
    other.fit(maps[0], labels)  # gets the other's coefficients, and all features as one layer
    other.load_state_dict(labeller.state_dict())
    parts = []
    for x in maps:
        x, larger = F.normalize(x, dim=1), x.shape[-1] <= size
        enlarged = F.interpolate(x, (size, size), mode="bilinear")
        parts.append(enlarged if larger else F.adaptive_avg_pool2d(x, size))
    stacked = torch.cat(parts, 1)
    expected = torch.einsum("kc,bchw->bkhw", labeller.weight, stacked)
    expected = expected + labeller.bias[:, None, None]
    torch.testing.assert_close(labeller.scores(maps, size), expected)
    assert (labeller(maps, size) == small).float().mean() > 0.5


def test_readouts_layout_loss_is_cross_entropy_balanced_by_roots_of_pixels() -> None:
    labeller = fitted("readout")
    query, wanted = shots(9, 2, seed=5)
    wanted[0, :2] = 3  # a class that no shot shows
    logs = labeller.scores(query).log_softmax(1)
    losses = []
    for log, y in zip(logs, wanted, strict=True):
        terms, weights = [], []
        for k in range(9):
            for place in (y == k).nonzero().tolist():
                if k not in (3, 7):
                    weights.append(int((y == k).sum()) ** -0.5)
                    terms.append(-weights[-1] * float(log[k][tuple(place)]))
        losses.append(sum(terms) / sum(weights))
    torch.testing.assert_close(labeller.layout_loss(query, wanted), torch.tensor(losses))


@pytest.mark.parametrize("kind", KINDS)
def test_state_dict_makes_a_fitted_labeller_of_a_new_one(kind: str) -> None:
    labeller, other = fitted(kind), make(kind)
    other.load_state_dict(labeller.state_dict())
    query = shots(9, 2, seed=5)[0]
    assert torch.equal(other(query), labeller(query))


@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_the_same_under_autocast_and_channels_last(kind: str) -> None:
    labeller = fitted(kind)
    query = shots(9, 2, seed=5)[0]
    expected = labeller.scores(query)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(labeller.scores(query), expected)
    last = query.to(memory_format=torch.channels_last)
    torch.testing.assert_close(labeller.scores(last), expected)
    assert labeller.scores(query.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("kind", KINDS)
def test_compiled_labeller_equals_the_eager_one(kind: str) -> None:
    labeller = fitted(kind)
    assert_compiles(labeller, shots(9, 2, seed=5)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_shots_that_teach_nothing_are_refused(kind: str) -> None:
    features, labels = shots(9)
    with pytest.raises(ValueError, match="No pixel of the shots has one of the 9 classes"):
        make(kind).fit(features, torch.full_like(labels, 255))
    with pytest.raises(ValueError, match=r"shape \(3, 12, 12\).*downsample_labels"):
        make(kind).fit(features, labels[:, ::2])
    with pytest.raises(ValueError, match="24 channels, but the labeller was fitted on 1"):
        make(kind)(features)


@pytest.mark.parametrize("over", ["positions", "annotated"])
@pytest.mark.parametrize("sparse", [True, False])
def test_layout_loss_equals_a_loop(over: Any, sparse: bool) -> None:
    features, labels = shots(9)
    labeller = DensePrototypes(9)
    labeller.fit(features, labels)
    prototypes = prototypes_by_loops(features, labels, 9)
    query, wanted = shots(9, 2, seed=5)
    wanted[0, :2] = 3  # a class that no shot shows
    losses = []
    for f, y in zip(query.flatten(2), wanted.flatten(1), strict=True):
        cosines = [
            float(F.cosine_similarity(f[:, i], prototypes[k], dim=0))
            for i, k in enumerate(y.tolist())
            if k < 9 and prototypes[k] is not None and not (sparse and k == 0)
        ]
        count = SIZE * SIZE if over == "positions" else len(cosines)
        missing = count - len(cosines) if over == "positions" else 0
        losses.append((sum(1 - c for c in cosines) + missing) / count)
    loss = labeller.layout_loss(query, wanted, sparse, over)
    torch.testing.assert_close(loss, torch.tensor(losses))


@pytest.mark.parametrize("kind", ["dense", "readout"])
def test_layout_loss_moves_features_and_is_zero_without_annotation(kind: str) -> None:
    labeller = fitted(kind)
    query = shots(9, 3, seed=5)[0].requires_grad_()
    wanted = torch.full((3, SIZE, SIZE), 2)
    wanted[:, 0], wanted[:, 1], wanted[2] = 255, 3, 255  # unknown, and in no shot
    loss = labeller.layout_loss(query, wanted)
    (gradient,) = torch.autograd.grad(loss.sum(), query)
    assert gradient.isfinite().all()
    assert loss[2] == 0
    assert not gradient[:, :, :2].any()
    assert not gradient[2].any()
    assert (labeller.layout_loss(query - 50 * gradient, wanted) < loss)[:2].all()


def test_sparse_layout_loss_of_unknown_pixels_is_zero() -> None:
    features, labels = shots(9)
    loss = fitted("dense").layout_loss(features, torch.zeros_like(labels), sparse=True)
    assert loss.tolist() == [0, 0, 0]


@pytest.mark.parametrize(("size", "small"), [(256, 64), (64, 64), (48, 32), (12, 16)])
def test_nearest_labels_are_those_of_interpolate(size: int, small: int) -> None:
    mask = torch.randint(151, (2, size, size))
    expected = F.interpolate(mask[:, None].double(), small)[:, 0].long()
    assert torch.equal(downsample_labels(mask, small), expected)


def test_single_map_stays_as_it_is_and_several_have_unit_vectors_each() -> None:
    maps = [torch.randn(2, 3, 4, 4), 100 * torch.randn(2, 5, 8, 8)]
    assert stack_features(maps[:1], 4) is maps[0]
    for size in (4, 8):
        stacked = stack_features(maps, size)
        assert stacked.shape == (2, 8, size, size)
        for part in stacked.split((3, 5), 1):
            torch.testing.assert_close(part.norm(dim=1), torch.ones(2, size, size))


def test_surest_labels_are_the_same_share_of_each_class() -> None:
    scores = 3 * torch.randn(2, 5, 8, 8, generator=torch.Generator().manual_seed(0))
    scores[:, 4] = -1e4  # never
    labels = surest_labels(scores, 0.25)
    sureness, best = scores.softmax(1).max(1)
    for k in range(4):
        kept, gone = (labels == k) & (best == k), (labels == -1) & (best == k)
        assert kept.sum() == -(-int((best == k).sum()) // 4)
        assert sureness[kept].min() >= sureness[gone].max()
    assert ((labels == best) | (labels == -1)).all()
    assert torch.equal(surest_labels(scores, 1.0), best)
