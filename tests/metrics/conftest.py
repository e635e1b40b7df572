import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from semsynth import weights
from semsynth.networks.unet import UNet

NUM_CLASSES = 5


@pytest.fixture
def toy_assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of shipped weights with a small random ``toy_street`` segmenter in it."""
    torch.manual_seed(0)
    sizes = {"num_classes": NUM_CLASSES, "channels": 4, "depth": 3}
    save_file(UNet(**sizes).state_dict(), tmp_path / "toy_street_segmenter.safetensors")
    (tmp_path / "toy_street_segmenter.json").write_text(json.dumps({"network": sizes}))
    monkeypatch.setattr(weights, "ASSETS", tmp_path)
    return tmp_path


@pytest.fixture
def weights_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder, still empty, in which weights that cannot ship are looked for."""
    for variable in ("SEMSYNTH_WEIGHTS", "XDG_CACHE_HOME", "TORCH_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    return tmp_path
