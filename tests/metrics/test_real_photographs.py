"""Scores of photographs equal those of the libraries that the field uses.

``SEMSYNTH_SAMPLES`` names the folder of samples, ``SEMSYNTH_WEIGHTS`` one into which
``semsynth weights fetch --all`` fetched.
"""

import os
from pathlib import Path

import pytest
import torch

from benchmarks.studies import libraries
from benchmarks.studies.libraries import Photographs
from semsynth import weights
from semsynth.metrics.frechet import frechet_distance_from_features
from semsynth.metrics.perceptual import Trunk

SAMPLES = Path(os.environ.get("SEMSYNTH_SAMPLES", "no-samples")) / "real"
NUM = 40

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # clean-fid calls old scipy
    pytest.mark.skipif(not SAMPLES.is_dir(), reason="SEMSYNTH_SAMPLES names no real photographs"),
    pytest.mark.skipif(
        weights.locate("inception-fid-helper") is None, reason="Inception was not fetched"
    ),
]


def photographs(folder: str) -> Photographs:
    return Photographs(folder, sorted((SAMPLES / folder / "images").glob("*.webp"))[:NUM])


@pytest.fixture(params=["camvid, test", "camvid, half", "ccp, jpeg"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Photographs, Photographs]:
    """Photographs, and others of the same data or copies of the same."""
    data, name = request.param.split(", ")
    if name == "test":
        return photographs(f"{data}/train"), photographs(f"{data}/test")
    real = photographs(f"{data}/test")
    return real, next(c for c in libraries.write_copies(real, tmp_path) if c.name.endswith(name))


def test_fid_and_kid_equal_those_of_the_libraries(pair: tuple[Photographs, Photographs]) -> None:
    real, fake = pair
    features = {
        "clean-fid": (real.of_cleanfid, fake.of_cleanfid),
        "torch-fidelity": (real.of_torch_fidelity.numpy(), fake.of_torch_fidelity.numpy()),
    }
    for score in libraries.distances(real, fake):
        assert score.ours == pytest.approx(score.theirs, rel=1e-3), score
        if score.name == "FID":
            same = (torch.from_numpy(rows) for rows in features[score.library])
            given = frechet_distance_from_features(*same).item()
            assert given == pytest.approx(score.theirs, rel=1e-6), score


@pytest.mark.parametrize("trunk", ["alex", "vgg"])
@pytest.mark.parametrize("copy", [0, 1], ids=["jpeg", "half"])
def test_lpips_equals_the_library(trunk: Trunk, copy: int, tmp_path: Path) -> None:
    real = Photographs("ccp/test", photographs("ccp/test").files[:6])
    fake = libraries.write_copies(real, tmp_path)[copy]
    score = libraries.perceptual(real, fake, trunk)
    assert score.ours == pytest.approx(score.theirs, rel=1e-5)
    assert score.ours > 0.01
