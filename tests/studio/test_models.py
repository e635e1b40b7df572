from dataclasses import replace
from pathlib import Path

import pytest
import torch

from semsynth.networks.fewshot.psp_encoder import GradualStyleEncoder
from semsynth.studio.models import (
    ModelError,
    Models,
    best_first,
    first_tab,
    load_dragger,
    load_painter,
    load_scribbler,
)
from semsynth.weights.encoders import save_encoder
from semsynth.weights.priors import find_prior, fingerprint, load_generator
from tests.studio.small import checkpoint

CPU = torch.device("cpu")


def test_what_ships_fills_all_tabs(models: Models) -> None:
    assert models.paint[0].about.shipped
    assert models.paint[0].segmenter is not None
    assert models.scribble[0].space.names[0] == "unknown"
    assert models.drag[0].canvas.size == 64


def test_a_checkpoint_has_the_names_of_its_run(tmp_path: Path) -> None:
    path = checkpoint(tmp_path)
    (tmp_path / "classes.json").write_text('["sea", "sand"]')
    painter = load_painter(str(path), CPU)
    assert painter.space.names == ("sea", "sand")
    assert not painter.about.shipped
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


def test_files_come_before_what_ships_and_large_images_first(
    models: Models, tmp_path: Path
) -> None:
    small = load_painter(str(checkpoint(tmp_path / "small")), CPU)
    large = load_painter(str(checkpoint(tmp_path / "large", side=64)), CPU)
    shipped, *_ = models.paint
    assert best_first([small, large, shipped]) == (large, small, shipped)
    assert best_first([shipped, shipped]) == (shipped,)
    assert first_tab(shipped, models.scribble[0], models.drag[0]) == "paint"
    given = replace(models.drag[0], about=replace(models.drag[0].about, shipped=False))
    assert first_tab(shipped, models.scribble[0], given) == "drag"


def test_what_is_told_of_models_has_scores_and_no_path(models: Models, tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "my_run")
    (tmp_path / "my_run/config.yaml").write_text("seed_everything: 1")
    told = [load_painter(str(path), CPU).about, models.paint[0].about]
    told += [load_dragger(None, CPU).about, models.scribble[0].about]
    assert [about.title for about in told[:3]] == [
        "my_run",
        "CLVAE of ToyStreet",
        "latent transformer of the toy prior",
    ]
    assert dict(told[1].facts).keys() >= {"method", "images", "classes", "trained on"}
    assert dict(told[3].facts)["MeanIoU"] == "0.6049"
    assert not any("/" in text for about in told for pair in about.facts for text in pair)
