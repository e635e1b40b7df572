import matplotlib.path
import numpy as np
import pytest

from semsynth.data.annotations import regions
from semsynth.data.annotations.regions import (
    Annotated,
    Region,
    ellipse,
    fill_polygon,
    fill_polygons,
    paint,
    rectangle,
)


def random_polygons() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.uniform(-5, 45, (rng.integers(3, 12), 2)) for _ in range(30)]


def test_polygon_holds_the_pixels_whose_centres_matplotlib_finds_inside() -> None:
    y, x = np.mgrid[:30, :40] + 0.5
    for polygon in random_polygons():
        path = matplotlib.path.Path(np.concatenate([polygon, polygon[:1]]), closed=True)
        expected = path.contains_points(np.stack([x.ravel(), y.ravel()], 1)).reshape(30, 40)
        assert np.array_equal(fill_polygon(polygon, 30, 40), expected)


def test_own_filling_differs_from_pycocotools_at_few_pixels_of_the_outline() -> None:
    pytest.importorskip("pycocotools")
    rng = np.random.default_rng(0)
    wrong = total = 0
    for _ in range(30):
        angle = np.sort(rng.uniform(0, 2 * np.pi, 12))
        spokes = np.stack([np.cos(angle), np.sin(angle)], 1) * rng.uniform(10, 30, (12, 1))
        own, theirs = fill_polygon(spokes + 32, 64, 64), fill_polygons([spokes + 32], 64, 64)
        wrong, total = wrong + int((own != theirs).sum()), total + int(theirs.sum())
    assert wrong / total < 0.02


@pytest.mark.parametrize("installed", [True, False])
def test_several_polygons_are_united(installed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if installed:
        pytest.importorskip("pycocotools")
    else:
        monkeypatch.setattr(regions, "pycocotools", None)
    boxes = [rectangle((1, 1), (3, 2), 0), rectangle((2, 1), (4, 5), 0)]
    expected = np.zeros((8, 9), bool)
    expected[1:3, 1:4] = expected[1:6, 2:6] = True
    assert np.array_equal(fill_polygons(boxes, 8, 9), expected)


def test_positive_angles_turn_clockwise() -> None:
    expected = np.zeros((9, 10), bool)
    expected[1:8, 5] = True
    assert np.array_equal(fill_polygon(rectangle((2, 4), (7, 1), 90), 9, 10), expected)
    assert np.array_equal(rectangle((0, 0), (2, 1), 90)[0].round(6), [1.5, -0.5])
    area = fill_polygon(ellipse((50, 50), (40, 20), 30), 100, 100)
    assert area.sum() == pytest.approx(np.pi * 40 * 20, rel=0.01)
    assert area[65, 75]  # its long axis points right and down
    assert not area[35, 75]


def column(x: int) -> Region:
    def fill(H: int, W: int) -> np.ndarray:
        inside = np.zeros((H, W), bool)
        inside[:, x : x + 2] = True
        return inside

    return Region("ab"[x % 2], fill, depth=-x, group="1", crowd=x == 2)


def test_regions_are_painted_by_depth_and_crowds_have_no_instance() -> None:
    mask, instance = paint(Annotated("", (1, 6), [column(x) for x in range(4)]), ["a", "b"], None)
    assert mask.tolist() == [[0, 0, 1, 0, 1, 255]]
    assert instance.tolist() == [[2, 2, 1, 0, 1, 0]]
    assert paint(Annotated("", (1, 6), []), ["a", "b"], "b")[0].tolist() == [[1] * 6]
