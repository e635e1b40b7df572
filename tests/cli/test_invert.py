import json
from pathlib import Path

import pytest
import torch

from semsynth.cli import main
from semsynth.cli.invert import identity
from semsynth.data import DataError
from semsynth.data.decode import read_image
from semsynth.data.latents import read_codes
from semsynth.images import from_uint8, save_png, to_uint8
from semsynth.inversion.stored_codes import stored_notes
from semsynth.inversion.tuning import apply_difference
from semsynth.networks.noise import seeded_normal
from semsynth.networks.stylegan2.generator import StyleGAN2Generator
from semsynth.weights.priors import load_generator
from tests.helpers.small_prior import save_prior


@pytest.fixture
def prior(tmp_path: Path) -> StyleGAN2Generator:
    generator = load_generator(save_prior(tmp_path / "prior.safetensors"))
    with torch.no_grad():
        drawn = generator(seeded_normal(torch.arange(3), 8)).clamp(-1, 1)
    for i, image in enumerate(to_uint8(drawn)):
        save_png(image, tmp_path / "photos" / f"{i}.png")
    return generator


def invert(folder: Path, *options: str) -> Path:
    out = folder / "codes"
    paths = [f"--images={folder / 'photos'}", f"--out={out}", "--device=cpu"]
    main(["invert", f"--prior={folder / 'prior.safetensors'}", *paths, "--steps=4", *options])
    return out


def test_each_photo_gets_codes_that_few_shot_folders_read(
    prior: StyleGAN2Generator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = invert(tmp_path)
    assert sorted(p.name for p in out.iterdir()) == [
        *(f"{i}.{end}" for i in range(3) for end in ("png", "safetensors")),
        "inversion.json",
    ]
    assert read_codes(out / "1.safetensors").shape == (prior.num_ws, prior.w_dim)
    errors = json.loads((out / "inversion.json").read_text())
    assert set(errors) == {"0", "1", "2"}
    assert all(error["mse"] > 0 and error["distance"] is None for error in errors.values())
    assert "mean squared error" in capsys.readouterr().out


def test_a_second_call_does_only_what_is_left(prior: StyleGAN2Generator, tmp_path: Path) -> None:
    out = invert(tmp_path)
    times = {p.name: p.stat().st_mtime_ns for p in out.glob("*.safetensors")}
    (out / "1.safetensors").write_bytes(b"cut off")
    save_png(torch.zeros(3, 32, 32, dtype=torch.uint8), tmp_path / "photos" / "2.png")
    invert(tmp_path)
    again = {p.name: p.stat().st_mtime_ns for p in out.glob("*.safetensors")}
    assert [name for name in times if times[name] == again[name]] == ["0.safetensors"]


def test_codes_with_a_flipped_byte_are_made_again(
    prior: StyleGAN2Generator, tmp_path: Path
) -> None:
    file = invert(tmp_path) / "0.safetensors"
    whole, codes = file.read_bytes(), read_codes(file)
    file.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    with pytest.raises(DataError, match=r"0\.safetensors cannot be read .*checksum differs"):
        read_codes(file)
    again = read_codes(invert(tmp_path) / "0.safetensors")  # alone in its batch
    torch.testing.assert_close(again, codes, rtol=1e-3, atol=1e-3)


def test_codes_of_another_recipe_are_recomputed_and_say_which(
    prior: StyleGAN2Generator, tmp_path: Path
) -> None:
    file = invert(tmp_path) / "0.safetensors"
    before = read_codes(file)
    invert(tmp_path, "--recipe=upstream")
    assert not torch.equal(before, read_codes(file))
    assert '"ranger"' in stored_notes(file)["recipe"]
    invert(tmp_path, "--starts=3")
    assert json.loads(stored_notes(file)["recipe"])["starts"] == 3
    assert read_codes(file).shape == (prior.num_ws, prior.w_dim)


def test_the_number_of_photos_at_a_time_changes_no_code(
    prior: StyleGAN2Generator, tmp_path: Path
) -> None:
    together = read_codes(invert(tmp_path, "--batch_size=3") / "2.safetensors")
    (tmp_path / "codes" / "2.safetensors").unlink()
    alone = read_codes(invert(tmp_path, "--batch_size=1") / "2.safetensors")
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-3)


def test_a_perceptual_distance_is_measured_where_one_is_named(
    prior: StyleGAN2Generator, tmp_path: Path, toy_segmenter: None
) -> None:
    out = invert(tmp_path, "--perceptual=toy_portrait")
    notes = stored_notes(out / "0.safetensors")
    assert notes["perceptual"] == "toy_portrait"
    assert float(notes["distance"]) > 0


def test_tuning_adds_a_difference_that_draws_the_photo_closer(
    prior: StyleGAN2Generator, tmp_path: Path
) -> None:
    plain = float(stored_notes(invert(tmp_path) / "1.safetensors")["mse"])
    out = invert(tmp_path, "--tune=30")
    notes = stored_notes(out / "1.safetensors")
    assert notes["tune"] == "30"
    assert float(notes["mse"]) < 0.7 * plain
    difference = out / "tuned" / "1.safetensors"
    assert difference.stat().st_size < 30_000
    apply_difference(prior, difference)
    drawn = prior.synthesis(read_codes(out / "1.safetensors")[None])[0].clamp(-1, 1)
    stored = from_uint8(read_image(out / "1.png"))
    torch.testing.assert_close(drawn, stored, atol=1 / 127, rtol=0)


def test_a_photo_keeps_its_noise_whatever_the_others_are() -> None:
    assert identity("a") == identity("a") != identity("b")
