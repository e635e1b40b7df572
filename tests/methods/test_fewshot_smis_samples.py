"""FewShotSMIS on the papers' own photos and labels, with a random prior of the right size."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from semsynth.data import FewShotFolder, MaskFolder
from semsynth.methods import FewShotSMIS
from tests.helpers.checks import quiet_trainer
from tests.helpers.small_prior import save_prior

SAMPLES = Path(os.environ.get("SEMSYNTH_SAMPLES", "no-samples"))
pytestmark = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="SEMSYNTH_SAMPLES names no folder of real samples"
)


@pytest.fixture
def prior(tmp_path: Path) -> str:
    """256x256 images and 14 latents of 512, as of LSUN church and cat, with few channels."""
    sizes = {"image_size": 256, "z_dim": 512, "w_dim": 512, "channel_base": 512}
    return save_prior(tmp_path / "prior.safetensors", **sizes)


@pytest.mark.parametrize(
    ("folder", "num_classes", "kind", "shots"),
    [("celebamask_hq", 19, "dense", 5), ("lsun_cat", 9, "sparse", 1)],
)
@pytest.mark.filterwarnings("ignore:The prior .* cannot reproduce these")
def test_photos_are_inverted_labelled_trained_on_resumed_and_drawn(
    prior: str, tmp_path: Path, folder: str, num_classes: int, kind: Any, shots: int
) -> None:
    def method() -> FewShotSMIS:
        torch.manual_seed(0)
        options: Any = {"labelling": kind, "perceptual": "none", "inversion_steps": 4}
        options |= {"encoder_units": (1, 1, 1, 1), "encoder_widths": (32, 32, 32, 32)}
        options |= {"refine": "layers", "refine_steps": 2}
        return FewShotSMIS(num_classes, (256, 256), prior, **options)

    def data() -> FewShotFolder:
        return FewShotFolder(str(SAMPLES / folder), num_classes, kind, shots=shots, batch_size=2)

    first = method()
    run = quiet_trainer(tmp_path, max_steps=2)
    run.fit(first, datamodule=data())
    assert first.shot_codes is not None
    assert first.shot_codes.shape == (shots, 14, 512)
    seen = torch.unique(first.label(first.generator.repeat(first.sample_w(torch.arange(4)))))
    assert len(seen) > 1  # more than one label, all of them classes
    assert set(seen.tolist()) <= set(range(num_classes))
    run.save_checkpoint(tmp_path / "last.ckpt")
    second = method()
    longer = quiet_trainer(tmp_path, max_steps=3)
    longer.fit(second, datamodule=data(), ckpt_path=tmp_path / "last.ckpt")
    assert second.global_step == 3
    masks = MaskFolder(str(SAMPLES / folder / "train/labels"), data())
    images = quiet_trainer(tmp_path).predict(second, datamodule=masks)
    assert images is not None
    image = torch.cat([torch.as_tensor(batch) for batch in images])
    assert image.shape == (shots, 3, 256, 256)
    assert image.isfinite().all()
