from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from semsynth.metrics import PrecisionRecall, neighbours
from semsynth.metrics.neighbours import density_and_coverage, neighbour_radii, precision_and_recall


def features(num: int, seed: int, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num, 16, generator=generator) * scale + seed / 10


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("chunk", [7, 1024])
def test_precision_and_recall_equal_torch_fidelity(
    k: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = pytest.importorskip("torch_fidelity.metric_prc")
    monkeypatch.setattr(neighbours, "CHUNK", chunk)
    fake, real = features(90, 1, 0.8), features(120, 2)
    settings = {"prc_neighborhood": k, "prc_batch_size": 64, "save_cpu_ram": False}
    expected = module.prc_features_to_metric(fake, real, **settings, verbose=False)
    precision, recall = precision_and_recall(fake, real, k)
    assert 0 < precision < 1
    assert precision.item() == pytest.approx(expected["precision"], rel=1e-6)
    assert recall.item() == pytest.approx(expected["recall"], rel=1e-6)


def test_density_and_coverage_equal_their_formulas() -> None:
    fake, real, k = features(50, 1, 0.8), features(60, 2), 5
    points, centres = fake.double().numpy(), real.double().numpy()
    among_real = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
    radii = np.sort(among_real, axis=1)[:, k]  # the first is the point itself
    across = np.linalg.norm(points[:, None] - centres[None], axis=-1)  # (fake, real)
    density, coverage = density_and_coverage(fake, real, k)
    assert density.item() == pytest.approx((across <= radii).sum() / (k * 50))
    assert coverage.item() == pytest.approx((across <= radii).any(axis=0).mean())
    torch.testing.assert_close(neighbour_radii(real, k), torch.from_numpy(radii))


def test_scores_of_four_points_on_a_line_equal_those_worked_out_by_hand() -> None:
    real = torch.tensor([[0.0], [1.0], [3.0], [7.0]])  # radii for k=1: 1, 1, 2, 4
    fake = torch.tensor([[0.5], [4.0], [20.0]])  # radii for k=1: 3.5, 3.5, 16
    precision, recall = precision_and_recall(fake, real, k=1)
    density, coverage = density_and_coverage(fake, real, k=1)
    assert precision.item() == pytest.approx(2 / 3)  # 20 is in no ball
    assert recall.item() == 1  # 0, 1, 3 are near 0.5 or 4; 7 is 3 from 4
    assert density.item() == pytest.approx((2 + 2 + 0) / 3)  # 4 is in the balls of 3 and of 7
    assert coverage.item() == 1
    _, coverage = density_and_coverage(torch.tensor([[0.5], [0.6]]), real, k=1)
    assert coverage.item() == 0.5  # the balls of 0 and 1


def test_copies_of_the_real_images_are_precise_and_cover_them() -> None:
    real = features(80, 1)
    copies = (real * (1 + 3e-8)).flip(0)  # what another batch may do to features
    assert [x.item() for x in precision_and_recall(copies, real)] == [1, 1]
    density, coverage = density_and_coverage(copies, real, k=5)
    assert density.item() == pytest.approx(6 / 5)  # a ball holds its centre and five neighbours
    assert coverage.item() == 1


def test_metric_gives_the_scores_of_its_rows(toy_assets: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    image, fake = (torch.rand(2, 12, 3, 16, 16, generator=generator) * 2 - 1).unbind()
    metric = PrecisionRecall("toy_street", k=2, k_density=4)
    metric.update(image=image, fake=fake)
    values = (*precision_and_recall(*metric.rows(), 2), *density_and_coverage(*metric.rows(), 4))
    names = ("precision_toy", "recall_toy", "density_toy", "coverage_toy")
    assert metric.compute() == dict(zip(names, values, strict=True))
    assert metric.protocol().items() >= {"k": 2, "k_density": 4}.items()


def test_few_images_are_a_caveat(toy_assets: Path) -> None:
    metric = PrecisionRecall("toy_street")
    metric.update(image=torch.rand(8, 3, 16, 16), fake=torch.rand(9, 3, 16, 16))
    metric.compute()
    (caveat,) = metric.caveats
    assert "9 generated and 8 real images mean little" in caveat


def test_too_few_images_for_a_neighbour_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 3 images in each set, got 3"):
        precision_and_recall(features(3, 1), features(9, 2))
