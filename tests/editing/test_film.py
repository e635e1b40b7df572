import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from semsynth.editing import (
    Canvas,
    EditError,
    Editor,
    Mark,
    Session,
    frames_of,
    save_frames,
    save_gif,
    save_mp4,
)
from semsynth.images import to_uint8


@pytest.fixture
def session(canvas: Canvas, shift: Editor) -> Session:
    session = Session.from_sample(canvas, shift, 0)
    session.commit([Mark(8, 8, 3, 1)])
    session.restyle(4)
    return session


def test_frames_lead_from_step_to_step(canvas: Canvas, session: Session) -> None:
    frames = frames_of(canvas, session.steps, between=3)
    assert frames.shape == (7, 3, 16, 16)
    for number, step in zip((0, 3, 6), session.steps, strict=True):
        difference = frames[number].int() - to_uint8(canvas.draw(step.w_plus)[0]).int()
        assert difference.abs().max() <= 1  # a batch is not convolved as a single image is
    assert not torch.equal(frames[1], frames[0])
    assert not torch.equal(frames[1], frames[3])
    with pytest.raises(EditError, match="at least one frame"):
        frames_of(canvas, session.steps, between=0)


def test_png_and_gif_hold_the_frames(canvas: Canvas, session: Session, tmp_path: Path) -> None:
    frames = frames_of(canvas, session.steps, between=2)
    save_frames(frames, tmp_path)
    save_gif(frames, tmp_path / "way.gif", scale=2)
    assert len(list(tmp_path.glob("frame_*.png"))) == len(frames)
    with Image.open(tmp_path / "way.gif") as gif:
        assert gif.n_frames == len(frames)  # type: ignore[attr-defined]  # of animations
        assert gif.size == (32, 32)
    assert not list(tmp_path.glob(".*"))


def test_mp4_holds_the_frames(canvas: Canvas, session: Session, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    frames = frames_of(canvas, session.steps, between=2)
    save_mp4(frames, tmp_path / "way.mp4", scale=4)
    with av.open(str(tmp_path / "way.mp4")) as film:
        decoded = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(decoded) == len(frames)
    assert decoded[0].shape == (64, 64, 3)


def test_mp4_without_its_library_says_what_to_install(
    canvas: Canvas, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(EditError, match=r"semsynth\[video\]"):
        save_mp4(frames_of(canvas, session.steps), tmp_path / "way.mp4")
