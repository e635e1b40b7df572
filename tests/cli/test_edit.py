import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semsynth.cli import main
from semsynth.cli.edit import edit
from semsynth.editing import DragOptimisation


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    start = DragOptimisation.__init__
    monkeypatch.setattr(
        DragOptimisation, "__init__", lambda self, canvas: start(self, canvas, steps=2)
    )


def test_it_writes_pictures_film_and_a_trajectory_to_go_on_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    marks = ["--drag", "33,30,-4,0", "--anchor", "33,55"]
    main(["edit", "--prior", "toy_portrait", "--seed", "3", *marks, "--output", str(first)])
    written = {"before.png", "after.png", "edit.gif", "trajectory.json"}
    assert {p.name for p in first.iterdir()} == written
    assert "-4.0, +0.0" in capsys.readouterr().out
    with Image.open(first / "before.png") as before, Image.open(first / "after.png") as after:
        assert before.size == (64, 64)
        assert before.tobytes() != after.tobytes()
    trajectory = first / "trajectory.json"
    zoom = ["32,32,-0.1"]
    edit(prior="toy_portrait", optimise=True, trajectory=trajectory, zoom=zoom, output=second)
    assert (second / "before.png").read_bytes() == (first / "after.png").read_bytes()
    content = json.loads((second / "trajectory.json").read_text())
    assert [step["kind"] for step in content["steps"]] == ["sample", "drag", "drag"]


def test_the_image_stays_outside_of_a_region(tmp_path: Path) -> None:
    mask = Image.new("RGB", (128, 128))
    mask.paste((255, 255, 255), (0, 0, 128, 64))
    mask.save(tmp_path / "mask.png")
    out, marks = tmp_path / "out", ["32,20,3,0"]
    edit(prior="toy_portrait", seed=3, drag=marks, region=tmp_path / "mask.png", output=out)
    before, after = (np.asarray(Image.open(out / f"{name}.png")) for name in ("before", "after"))
    changed = np.abs(before.astype(int) - after).max(axis=(1, 2))  # by row
    assert changed[40:].max() <= 1
    assert changed[:28].max() > 20


def test_codes_are_edited_with_the_difference_beside_them(tmp_path: Path) -> None:
    sample = one_photo(tmp_path / "photos")
    main(
        [
            *(
                "invert",
                "--prior=toy_portrait",
                f"--images={sample}",
                f"--out={tmp_path / 'codes'}",
            ),
            *("--steps=4", "--tune=3", "--perceptual=none", "--device=cpu"),
        ]
    )
    codes = tmp_path / "codes" / "photo.safetensors"
    edit(prior="toy_portrait", codes=codes, drag=["32,32,3,0"], output=tmp_path / "out")
    before = (tmp_path / "out" / "before.png").read_bytes()
    assert before == (tmp_path / "codes" / "photo.png").read_bytes()
    (tmp_path / "codes" / "tuned" / "photo.safetensors").unlink()
    edit(prior="toy_portrait", codes=codes, drag=["32,32,3,0"], output=tmp_path / "plain")
    assert before != (tmp_path / "plain" / "before.png").read_bytes()


def one_photo(folder: Path) -> Path:
    """A folder with a picture."""
    folder.mkdir()
    Image.effect_noise((64, 64), 60).convert("RGB").save(folder / "photo.png")
    return folder
