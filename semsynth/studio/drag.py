"""The Drag tab: drag points, and the image follows."""

import tempfile
from dataclasses import asdict
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import Tensor

from semsynth.editing import EditError, Session, Step, frames_of, save_gif, save_mp4
from semsynth.networks.motion.marks import MAX_MARKS
from semsynth.studio.answers import Answer, Reporter, jpeg, png, webp
from semsynth.studio.layers import Layers, packed, unpacked
from semsynth.studio.messages import (
    DragExport,
    DragMarks,
    DragPhoto,
    DragSample,
    DragShow,
    DragStyle,
)
from semsynth.studio.models import Dragger
from semsynth.studio.store import Store, bytes_of

FIRST_SEED = 11
TRUNCATION = 0.7
INVERSION_STEPS = 300
FILM_SIZE = 256  # pixels; smaller images are enlarged in films
LONGEST_FILM = 40  # steps; longer histories are cut to the last ones

Message = DragMarks | DragSample | DragStyle | DragShow | DragPhoto


class DragTab:
    """The edits of one visitor."""

    def __init__(self, model: Dragger, store: Store) -> None:
        self.model, self.store = model, store
        self.session = lru_cache(4)(self._session)

    def info(self) -> dict[str, Any]:
        """Model properties for the page."""
        G = self.model.canvas.generator
        return {
            "model": self.model.about.identity,
            "title": self.model.about.title,
            "facts": self.model.about.facts,
            "canvas": self.model.canvas.size,
            "image_size": G.image_size,
            "mp4": find_spec("av") is not None,
            "first_seed": FIRST_SEED,
            "reach": self.model.reach,
            "max_marks": MAX_MARKS,
        }

    def answer(self, message: Message, report: Reporter) -> Answer:
        """Handle a message."""
        match message:
            case DragMarks():
                return self._marks(message)
            case DragPhoto():
                return self._photo(message, report)
            case DragSample():
                canvas, editor = self.model.canvas, self.model.editor
                session = Session.from_sample(canvas, editor, message.seed, TRUNCATION)
            case DragStyle():
                session = Session(
                    self.model.canvas, self.model.editor, self.session(message.at).steps
                )
                session.restyle(message.seed, TRUNCATION)
            case DragShow():
                session = self.session(message.at)
        return self._shown(session)

    def export(self, name: str, message: DragExport) -> bytes:
        """The image, ``edit.png``, or the history, ``edit.json``, ``edit.gif`` or ``edit.mp4``."""
        canvas, editor = self.model.canvas, self.model.editor
        steps = [
            Step(step.kind, dict(step.details), *self._layers(step.at)) for step in message.steps
        ]
        session = Session(canvas, editor, steps)
        if name == "edit.png":
            return png(session.image())
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / name
            if name == "edit.json":
                session.save(path)
            else:
                frames = frames_of(canvas, steps[-LONGEST_FILM:])
                scale = max(1, FILM_SIZE // frames.shape[-1])
                (save_gif if name == "edit.gif" else save_mp4)(frames, path, scale)
            return path.read_bytes()

    def _marks(self, message: DragMarks) -> Answer:
        session = self.session(message.at)
        session.editor = self.model.loop if message.closed_loop else self.model.editor
        region = None if message.region is None else self.store.get(message.region)
        edit = session.preview(message.marks, region)
        fields: dict[str, Any] = {"reports": [asdict(report) for report in edit.reports]}
        if message.type == "drag.preview":
            return Answer(fields, [jpeg(edit.image)])
        if not any(mark.moves for mark in message.marks):
            raise EditError("Nothing to move: drag a point or zoom first.")
        return self._kept(edit.w_plus, edit.held, [webp(edit.image)], fields)

    def _photo(self, message: DragPhoto, report: Reporter) -> Answer:
        photo, canvas = self.store.get(message.upload), self.model.canvas

        def progress(done: int, total: int) -> None:
            report(done / total, f"Inverting the photo: {done} of {total}")

        return self._shown(
            Session.from_image(canvas, self.model.editor, photo, INVERSION_STEPS, progress=progress)
        )

    def _shown(self, session: Session) -> Answer:
        step = session.steps[-1]
        return self._kept(
            step.w_plus, step.held, [webp(session.image())], {"details": step.details}
        )

    def _kept(
        self, w_plus: Tensor, held: Layers, images: list[bytes], fields: dict[str, Any]
    ) -> Answer:
        rows = packed(w_plus, held, self.model.canvas)
        return Answer({"at": self.store.put(rows), **fields}, [*images, bytes_of(rows)])

    def _session(self, at: str) -> Session:
        """A session at these latents, which caches their features."""
        step = Step("sample", {}, *self._layers(at))
        return Session(self.model.canvas, self.model.editor, [step])

    def _layers(self, at: str) -> tuple[Tensor, Layers]:
        return unpacked(self.store.get(at), self.model.canvas)
