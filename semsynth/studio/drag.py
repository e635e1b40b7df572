"""The Drag tab: drag points, and the image follows."""

import tempfile
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import Tensor

from semsynth.editing import EditError, Session, frames_of, save_gif, save_mp4
from semsynth.studio.answers import Answer, Reporter, jpeg, png, webp
from semsynth.studio.labels import taken
from semsynth.studio.messages import DragMarks, DragPhoto, DragStart, DragStep
from semsynth.studio.models import Dragger

FIRST_SEED = 13
TRUNCATION = 0.7
INVERSION_STEPS = 300
FILM_SIZE = 256  # pixels; smaller images are enlarged in films
LONGEST_FILM = 40  # steps; longer histories are cut to the last ones

Message = DragMarks | DragStart | DragStep | DragPhoto


class DragTab:
    """One visitor's image."""

    def __init__(self, model: Dragger) -> None:
        self.model = model
        self._session: Session | None = None

    @property
    def session(self) -> Session:
        """The edit history, which starts with a sample."""
        if self._session is None:
            self._session = self._sample(FIRST_SEED)
        return self._session

    def info(self) -> dict[str, Any]:
        """Model properties for the page."""
        G = self.model.canvas.generator
        films = find_spec("av") is not None
        return {"canvas": self.model.canvas.size, "image_size": G.image_size, "mp4": films}

    def answer(self, message: Message, photos: dict[int, Tensor], report: Reporter) -> Answer:
        """Handle a message; photos are uploads (3, H, W) in [-1, 1] by number."""
        match message:
            case DragMarks():
                return self._marks(message)
            case DragPhoto():
                return self._photo(message, photos, report)
            case DragStart(type="drag.sample"):
                self._session = self._sample(message.seed)
            case DragStart():
                self.session.restyle(message.seed, TRUNCATION)
            case DragStep(type="drag.undo"):
                self.session.undo()
            case DragStep(type="drag.redo"):
                self.session.redo()
            case DragStep(type="drag.reset"):
                self.session.reset()
        return self.state()

    def state(self) -> Answer:
        """The current image, the first one, and the position in the history."""
        images = [self.session.image(), self.model.canvas.draw(self.session.steps[0].w_plus)[0]]
        return Answer(self._history(), [webp(image) for image in images])

    def export(self, name: str) -> bytes:
        """The image, ``edit.png``, or the history, ``edit.json``, ``edit.gif`` or ``edit.mp4``."""
        if name == "edit.png":
            return png(self.session.image())
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / name
            if name == "edit.json":
                self.session.save(path)
            else:
                frames = frames_of(self.model.canvas, self.session.steps[-LONGEST_FILM:])
                scale = max(1, FILM_SIZE // frames.shape[-1])
                (save_gif if name == "edit.gif" else save_mp4)(frames, path, scale)
            return path.read_bytes()

    def _marks(self, message: DragMarks) -> Answer:
        self.session.editor = self.model.loop if message.closed_loop else self.model.editor
        if message.type == "drag.preview":
            edit = self.session.preview(message.marks)
            return Answer({"reports": [asdict(r) for r in edit.reports]}, [jpeg(edit.image)])
        if not any(mark.moves for mark in message.marks):
            raise EditError("Nothing to move: drag a point or zoom first.")
        edit = self.session.commit(message.marks)
        fields = {"reports": [asdict(r) for r in edit.reports], **self._history()}
        return Answer(fields, [webp(edit.image)])

    def _photo(self, message: DragPhoto, photos: dict[int, Tensor], report: Reporter) -> Answer:
        photo, canvas = taken(photos, message.upload), self.model.canvas

        def progress(done: int, total: int) -> None:
            report(done / total, f"Inverting the photo: {done} of {total}")

        self._session = Session.from_image(
            canvas, self.model.editor, photo, INVERSION_STEPS, progress=progress
        )
        return self.state()

    def _sample(self, seed: int) -> Session:
        return Session.from_sample(self.model.canvas, self.model.editor, seed, TRUNCATION)

    def _history(self) -> dict[str, Any]:
        steps = self.session.steps
        return {
            "can_undo": self.session.can_undo,
            "can_redo": self.session.can_redo,
            "steps": len(steps) - 1,
            "start": {"kind": steps[0].kind, **steps[0].details},
        }
