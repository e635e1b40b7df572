"""Scores of photographs equal those of the libraries that the field uses.

``SEMSYNTH_SAMPLES`` names the folder of samples, ``SEMSYNTH_WEIGHTS`` one into which
``semsynth weights fetch --all`` fetched.
"""

import os
from pathlib import Path

import pytest
import torch
from cleanfid import fid
from torch_fidelity import metric_fid

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
    for score in libraries.distances(*pair):
        assert score.ours == pytest.approx(score.theirs, rel=1e-3), score


def test_frechet_distance_of_the_same_features_equals_the_libraries(
    pair: tuple[Photographs, Photographs],
) -> None:
    # Fewer features than images: the libraries' matrix roots are off where covariances are singular
    a, b = (photographs.of_cleanfid[:, : NUM // 2] for photographs in pair)
    ours = frechet_distance_from_features(torch.from_numpy(a), torch.from_numpy(b)).item()
    statistics = (metric_fid.fid_features_to_statistics(torch.from_numpy(x)) for x in (a, b))
    theirs = metric_fid.fid_statistics_to_metric(*statistics, verbose=False)
    assert ours == pytest.approx(fid.fid_from_feats(a, b), rel=1e-6)
    assert ours == pytest.approx(theirs["frechet_inception_distance"], rel=1e-6)


@pytest.mark.parametrize("trunk", ["alex", "vgg"])
@pytest.mark.parametrize("copy", [0, 1], ids=["jpeg", "half"])
def test_lpips_equals_the_library(trunk: Trunk, copy: int, tmp_path: Path) -> None:
    real = Photographs("ccp/test", photographs("ccp/test").files[:6])
    fake = libraries.write_copies(real, tmp_path)[copy]
    score = libraries.perceptual(real, fake, trunk)
    assert score.ours == pytest.approx(score.theirs, rel=1e-5)
    assert score.ours > 0.01
