from pathlib import Path

import pytest
import torch

from semsynth.methods import CLVAE
from semsynth.networks.fewshot.psp_encoder import GradualStyleEncoder
from semsynth.studio.models import ModelError, Models, load_painter, load_scribbler
from semsynth.weights.encoders import save_encoder
from semsynth.weights.priors import find_prior, fingerprint, load_generator

CPU = torch.device("cpu")
SIZES = {"channels": 4, "discriminator_channels": 4, "spade_channels": 4, "z_dim": 4}


def checkpoint(run: Path, **options: int) -> Path:
    """A checkpoint of CLVAE in the directory of a run."""
    method = CLVAE(2, (32, 32), encoder_size=128, perceptual_weight=0, **SIZES, **options)  # type: ignore[arg-type]
    path = run / "checkpoints/last.ckpt"
    path.parent.mkdir(parents=True)
    content = {"state_dict": method.state_dict(), "hyper_parameters": dict(method.hparams)}
    torch.save(content | {"pytorch-lightning_version": "2.6.4"}, path)
    return path


def test_what_ships_fills_all_tabs(models: Models) -> None:
    assert models.paint.toy
    assert models.paint.segmenter is not None
    assert models.scribble.space.names[0] == "unknown"
    assert models.drag.canvas.size == 64


def test_a_checkpoint_has_the_names_of_its_run(tmp_path: Path) -> None:
    path = checkpoint(tmp_path)
    (tmp_path / "classes.json").write_text('["sea", "sand"]')
    painter = load_painter(str(path), CPU)
    assert painter.space.names == ("sea", "sand")
    assert not painter.toy
    assert painter.segmenter is None


def test_a_checkpoint_without_a_run_has_numbers(tmp_path: Path) -> None:
    assert load_painter(str(checkpoint(tmp_path)), CPU).space.names == ("class 0", "class 1")


def test_codes_of_instances_are_refused(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, instances_per_class=2)
    with pytest.raises(ModelError, match="paints classes only"):
        load_painter(str(path), CPU)


def test_a_file_of_another_method_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not a checkpoint of FewShotSMIS"):
        load_scribbler(str(checkpoint(tmp_path)), CPU)
    with pytest.raises(ModelError, match="contains FewShotSMIS, not CLVAE"):
        load_painter("toy_portrait_fewshot", CPU)


def test_an_imported_encoder_is_taken_with_the_prior_beside_it(tmp_path: Path) -> None:
    shipped = find_prior("toy_portrait")
    for suffix in (".safetensors", ".json"):
        data = shipped.with_suffix(suffix).read_bytes()
        (tmp_path / "prior").with_suffix(suffix).write_bytes(data)
    arguments = {"in_channels": 5, "num_ws": 10, "image_size": 64, "w_dim": 128}
    arguments |= {"units": [1, 1, 1, 1], "widths": [8, 8, 8, 8]}  # type: ignore[dict-item]
    encoder = GradualStyleEncoder(**arguments)  # type: ignore[arg-type]
    own = fingerprint(load_generator("toy_portrait"))
    card = {"encoder": arguments, "prior": own, "prior_file": "prior.safetensors"}
    path = tmp_path / "prior_fewshot_smis.safetensors"
    save_encoder(encoder, path, card)
    scribbler = load_scribbler(str(path), CPU)
    assert scribbler.space.num_classes == 5
    mask = torch.randint(5, (1, 64, 64))
    w_plus = scribbler.method.latents({"mask": mask, "seed": torch.tensor([0])})
    assert w_plus.shape == (1, 10, 128)
