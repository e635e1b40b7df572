import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning import __version__

from benchmarks.studies import keep_weights
from semsynth.errors import UserError
from semsynth.methods import CLVAE
from semsynth.methods.trained import load_trained

SIZES: dict[str, Any] = {"channels": 2, "spade_channels": 4, "discriminator_channels": 4}
SIZES |= {"z_dim": 4, "code_dim": 2, "encoder_size": 128, "perceptual_weight": 0.0}


@pytest.fixture
def method() -> CLVAE:
    torch.manual_seed(0)
    return CLVAE(14, (64, 64), **SIZES).eval()


def write_run(run_dir: Path, method: CLVAE, root: str) -> None:
    """A training of 300 steps of 4 images."""
    data = {"root": root, "image_size": [64, 64], "batch_size": 4}
    config = {"data": {"class_path": "semsynth.data.CCP", "init_args": data}, "seed_everything": 7}
    checkpoint = {
        "state_dict": method.state_dict(),
        "hyper_parameters": dict(method.hparams),
        "global_step": 300,
        "pytorch-lightning_version": __version__,
    }
    for folder in ("checkpoints", "scores"):
        (run_dir / folder).mkdir(parents=True)
    torch.save(checkpoint, run_dir / "checkpoints" / "last.ckpt")
    (run_dir / "config.yaml").write_text(yaml.safe_dump(config))
    (run_dir / "scores" / "test.json").write_text(json.dumps({"scores": {"FID": 99.5}}))


def test_kept_weights_draw_the_images_of_the_run(method: CLVAE, tmp_path: Path) -> None:
    write_run(tmp_path / "run", method, str(tmp_path / "ccp"))
    output = tmp_path / "kept" / "ccp.safetensors"
    keep_weights.main(tmp_path / "run", output, "semsynth fit --config mine.yaml")
    kept, card = load_trained(output)
    batch = {"mask": torch.randint(14, (2, 64, 64)), "seed": torch.tensor([1, 2])}
    with torch.no_grad():
        torch.testing.assert_close(
            kept.predict_step(batch, 0), method.predict_step(batch, 0), atol=0.02, rtol=0
        )  # half precision
    said = {"steps": 300, "images_seen": 1200, "scores": {"FID": 99.5}, "seed": 7}
    said |= {"command": "semsynth fit --config mine.yaml", "storage": "float16"}
    assert card.items() >= said.items()
    assert "Apache-2.0" in card["data"]
    assert len(card["classes"]["names"]) == 14


def test_data_of_unknown_terms_are_refused(method: CLVAE, tmp_path: Path) -> None:
    write_run(tmp_path / "run", method, str(tmp_path / "mine"))
    with pytest.raises(UserError, match=r"terms of .*mine are not known; known: ccp"):
        keep_weights.main(tmp_path / "run", tmp_path / "a.safetensors", "semsynth fit")


def test_run_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no checkpoint"):
        keep_weights.main(tmp_path, tmp_path / "a.safetensors", "semsynth fit")
