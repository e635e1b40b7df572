import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer
from torch.utils.data import DataLoader

from semsynth.callbacks import GeneratorEMA
from semsynth.cli import main
from semsynth.methods import StyleGAN2
from semsynth.weights import priors


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of one step of our own training, with averaged weights."""
    torch.manual_seed(0)
    method = StyleGAN2((16, 16), 6, 5, 2, channel_base=128, channel_max=8, group_size=2)
    images: Any = [{"image": torch.rand(3, 16, 16)} for _ in range(2)]
    ema = GeneratorEMA(0.5, warm_up=False)
    quiet: Any = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    quiet |= {"accelerator": "cpu", "enable_checkpointing": False}
    trainer = Trainer(max_steps=1, callbacks=[ema], **quiet)
    trainer.fit(method, DataLoader(images, batch_size=2))
    path = tmp_path_factory.mktemp("run") / "last.ckpt"
    trainer.save_checkpoint(path)
    return path


def run(checkpoint: Path, out: Path, *flags: str) -> None:
    main(["import", str(checkpoint), "--as", "stylegan2", "--out", str(out), *flags])


def test_own_training_becomes_a_prior_of_its_averaged_generator(
    checkpoint: Path, tmp_path: Path
) -> None:
    run(checkpoint, tmp_path / "priors")
    G = priors.load_generator(tmp_path / "priors" / "last.safetensors")
    D = priors.load_discriminator(tmp_path / "priors" / "last.safetensors")
    content = torch.load(checkpoint, weights_only=True)
    state = content["state_dict"]
    assert D is not None
    assert D.group_size == 2
    loaded = {f"generator.{k}": v for k, v in G.state_dict().items()}
    loaded |= {f"discriminator.{k}": v for k, v in D.state_dict().items()}
    assert loaded.keys() == state.keys() - {"path_length_mean"}
    assert all(torch.equal(v, state[k]) for k, v in loaded.items())
    trained = content["generator_ema"]["training"]["synthesis.constant"]
    assert not torch.equal(G.synthesis.constant, trained)


def test_card_says_where_the_prior_comes_from(checkpoint: Path, tmp_path: Path) -> None:
    run(checkpoint, tmp_path, "--half")
    card = json.loads((tmp_path / "last.json").read_text())
    assert card["generator"]["image_size"] == 16
    assert card["source"] == {
        "file": "last.ckpt",
        "sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
        "format": "semsynth training",
        "left_out": [],
    }
    assert card["storage"] == "float16"
    assert card["mean_latent"] == "of the source"
    assert {"licence", "semsynth", "torch", "fingerprint", "discriminator"} <= card.keys()


def test_command_prints_what_it_found_and_where_it_wrote(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(checkpoint, tmp_path)
    text = capsys.readouterr().out
    for part in ("semsynth training", "generator and discriminator", "16x16", "last.safetensors"):
        assert part in text


def test_file_that_is_there_is_replaced_only_when_asked(checkpoint: Path, tmp_path: Path) -> None:
    run(checkpoint, tmp_path)
    with pytest.raises(SystemExit, match=r"last\.safetensors already exists.*--overwrite"):
        run(checkpoint, tmp_path)
    run(checkpoint, tmp_path, "--overwrite")
    assert not list(tmp_path.glob(".*.part"))


def test_refusal_is_one_message_and_writes_nothing(tmp_path: Path) -> None:
    torch.save({"model": {}}, tmp_path / "other.pt")
    message = r"^semsynth import: .*other\.pt: it has model, not g_ema"
    with pytest.raises(SystemExit, match=message):
        run(tmp_path / "other.pt", tmp_path / "priors")
    assert not (tmp_path / "priors").exists()


def test_checkpoint_of_another_method_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    content["state_dict"] = {"network.weight": torch.zeros(1)}
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(SystemExit, match=r"other\.ckpt: it is a checkpoint of .*not of StyleGAN2"):
        run(tmp_path / "other.ckpt", tmp_path)
