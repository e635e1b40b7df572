from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from semsynth.cli.predict_style import read_style
from semsynth.data import DataError, ToyStreet, read_reference
from semsynth.images import to_uint8
from semsynth.methods import CLVAE, StyleGAN2


def options(**given: Any) -> Any:
    none = dict.fromkeys(("reference", "reference_mask", "classes", "levels"))
    return SimpleNamespace(**{**none, "fill": "zero", "keep": False, **given})


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A toy street and its mask on disk."""
    data = ToyStreet(train_size=1, val_size=1, test_size=1)
    sample: Any = data.dataset("test")[0]
    batch = data.on_after_batch_transfer({k: sample[k][None] for k in ("image", "mask")}, 0)
    pixels = to_uint8(batch["image"][0]).permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    Image.fromarray(batch["mask"][0].byte().numpy()).save(tmp_path / "mask.png")
    return tmp_path / "photo.png", tmp_path / "mask.png"


def test_reference_is_read_as_the_data_are(files: tuple[Path, Path]) -> None:
    data = ToyStreet(train_size=1, val_size=1, test_size=1)
    sample: Any = data.dataset("test")[0]
    expected = data.on_after_batch_transfer({k: sample[k][None] for k in ("image", "mask")}, 0)
    batch = read_reference(*files, data)
    assert torch.equal(batch["mask"], expected["mask"])
    assert (batch["image"] - expected["image"]).abs().max() < 0.01


def test_options_become_what_styled_takes(files: tuple[Path, Path]) -> None:
    data, names = ToyStreet(), ToyStreet().label_space.names
    given = options(
        reference=str(files[0]), reference_mask=str(files[1]), classes=[names[1], "3"], levels=[4]
    )
    style = read_style(given, CLVAE(8, (64, 64), 2, 4, 4, encoder_size=128), data)
    assert style is not None
    assert style["classes"] == [1, 3]
    assert style["levels"] == [4]
    assert style["reference"]["mask"].shape == (1, 64, 64)
    assert read_style(options(), torch.nn.Identity(), data) is None  # type: ignore[arg-type]


def test_method_without_styles_refuses_the_options() -> None:
    method = StyleGAN2((16, 16), 6, 5, 2, channel_base=128, channel_max=8)
    with pytest.raises(
        DataError, match=r"StyleGAN2 has no class- and layer-wise codes; leave out --style"
    ):
        read_style(options(levels=[1]), method, ToyStreet())


def test_mistakes_are_named(files: tuple[Path, Path]) -> None:
    method, data = CLVAE(8, (64, 64), 2, 4, 4, encoder_size=128), ToyStreet()
    with pytest.raises(DataError, match=r"--style\.reference_mask"):
        read_style(options(reference=str(files[0])), method, data)
    with pytest.raises(DataError, match="There is no file"):
        read_style(options(reference="no.png", reference_mask=str(files[1])), method, data)
