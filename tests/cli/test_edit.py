import json
from pathlib import Path

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


@pytest.mark.parametrize(
    ("marks", "message"),
    [
        (["--prior", "nobody", "--drag", "1,2,3,4"], "No prior is called 'nobody'"),
        ([], "Nothing to do"),
        (["--anchor", "3,3"], "Nothing to do"),
        (["--drag", "1,2,3"], "--drag X,Y,DX,DY expects 4 comma-separated numbers, got '1,2,3'"),
        (["--drag", "1,2,a,b"], "expects 4 comma"),
        (["--drag", "-3,2,4,4"], "its point inside the image"),
        (["--zoom", "3,2,nan"], "must be finite"),
    ],
)
def test_mistakes_end_in_one_message(tmp_path: Path, marks: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match=f"semsynth edit: .*{message}"):
        main(["edit", "--prior", "toy_portrait", *marks, "--output", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()
