"""The Scribble tab: images from rough marks, and an encoder trained on one labelled sample."""

from typing import Any

import torch
from torch import Tensor

from semsynth.data import ToyPortrait
from semsynth.data.sparse import SparseLabels
from semsynth.methods import FewShotSMIS
from semsynth.studio.annotate import fresh_copy, train_on_shots
from semsynth.studio.answers import Answer, Reporter, TabError, exported, webp
from semsynth.studio.labels import bytes_of, classes_of_space, labels_of
from semsynth.studio.messages import (
    AnnotateSample,
    AnnotateTrain,
    ScribbleDraw,
    ScribbleExample,
    ScribbleMarks,
    ScribbleRefine,
    ScribbleUpload,
)
from semsynth.studio.models import Scribbler
from semsynth.studio.store import MissingError, Store, digest
from semsynth.studio.store import bytes_of as numbers_of

EXAMPLES = 64
REFINE_STEPS = 40
REFINE_PRIOR = 0.005  # a little less close to the marks, and closer to a portrait
PREVIEWS = 12  # pictures during a training
MAX_ENCODERS = 2

Message = (
    ScribbleDraw
    | ScribbleRefine
    | ScribbleExample
    | ScribbleUpload
    | AnnotateSample
    | AnnotateTrain
)


class ScribbleTab:
    """Draws the marks of one visitor, with the pretrained encoder or those trained on the page."""

    def __init__(self, model: Scribbler, store: Store) -> None:
        self.model, self.store = model, store
        self.size: tuple[int, int] = model.method.image_size
        self.encoders: dict[str, FewShotSMIS] = {}

    def info(self) -> dict[str, Any]:
        """Model properties for the page."""
        G = self.model.method.generator
        return {
            "model": self.model.about.identity,
            "title": self.model.about.title,
            "facts": self.model.about.facts,
            "classes": classes_of_space(self.model.space),
            "size": list(self.size),
            "latents": [G.num_ws, G.w_dim],
            "sparse": self.model.method.sparse,
            "examples": self.model.about.shipped,
            "refines": bool(self.model.method.prototypes.seen.any()),
        }

    def answer(self, message: Message, report: Reporter) -> Answer:
        """Handle a message."""
        match message:
            case ScribbleDraw():
                return Answer({}, [webp(image) for image in self._images(message)])
            case ScribbleRefine():
                return self._refine(message, report)
            case ScribbleExample():
                return Answer({"mask": bytes_of(self._example(message.seed, message.kind))})
            case ScribbleUpload():
                return Answer({"mask": bytes_of(self.store.get(message.upload))})
            case AnnotateSample():
                with torch.inference_mode():
                    image = self.model.method.draw(self._sample(message.seed))[0]
                return Answer({}, [webp(image)])
            case AnnotateTrain():
                return self._train(message, report)

    def export(self, name: str, message: ScribbleDraw) -> bytes:
        """``mask.png``, ``N.png``, the image of a sample, or ``all.zip``."""
        mask = self._labels(message.mask)
        empty = name == "mask.png" or not self._has_marks(mask)
        images = () if empty else tuple(self._images(message))
        return exported(name, images, mask, self.model.space)

    @torch.inference_mode()
    def _images(self, message: ScribbleDraw) -> Tensor:
        """Images (K, 3, H, W) of marks, or of refined latents."""
        method = self._method(message)
        if message.at is None:
            return method.draw(self._latents(message))
        w_plus = self.store.get(message.at)
        G = method.generator
        if w_plus.ndim != 3 or w_plus.shape[1:] != (G.num_ws, G.w_dim):
            raise TabError("These latents are of another model.")
        return method.draw(w_plus.to(method.device))

    @torch.inference_mode()
    def _latents(self, message: ScribbleMarks) -> Tensor:
        """Latents (K, num_ws, w_dim) of marks."""
        mask = self._labels(message.mask)
        if not self._has_marks(mask):
            raise TabError("There are no marks yet: choose a class and draw a stroke.")
        method = self._method(message)
        seeds = torch.arange(message.seed, message.seed + message.count, device=method.device)
        mask = mask.to(seeds.device).expand(message.count, -1, -1)
        return method.latents({"mask": mask, "seed": seeds})

    def _method(self, message: ScribbleMarks) -> FewShotSMIS:
        if message.encoder is None:
            return self.model.method
        if (own := self.encoders.get(message.encoder)) is None:
            raise MissingError(message.encoder)
        return own

    def _refine(self, message: ScribbleRefine, report: Reporter) -> Answer:
        method, w_plus = self._method(message), self._latents(message)

        def progress(done: int, total: int) -> None:
            report(done / total, f"Refining: {done} of {total}")

        mask = self._labels(message.mask).to(w_plus.device).expand(len(w_plus), -1, -1)
        refined = method.refined(
            w_plus, mask, progress, how="layers", steps=REFINE_STEPS, prior_weight=REFINE_PRIOR
        )
        with torch.inference_mode():
            images = [webp(image) for image in method.draw(refined)]
        refined = refined.float().cpu()
        return Answer({"at": self.store.put(refined)}, [*images, numbers_of(refined)])

    def _has_marks(self, mask: Tensor) -> bool:
        return bool((mask > 0).any()) if self.model.method.sparse else True

    def _labels(self, data: bytes) -> Tensor:
        return labels_of(data, self.size, self.model.space)

    def _example(self, seed: int, kind: str) -> Tensor:
        if not self.model.about.shipped:
            raise TabError("Only the toy model has examples; load a file.")
        dense = ToyPortrait(self.size[0], test_size=EXAMPLES).rendered("test")
        if kind == "dense":
            return dense[seed % EXAMPLES]["mask"] + 1  # 0 is unknown
        marks = SparseLabels(dense, "landmarks" if kind == "landmarks" else "scribbles")
        return marks[seed % EXAMPLES]["mask"]

    def _sample(self, seed: int) -> Tensor:
        """Latents (1, num_ws, w_dim) of the sample to label."""
        method = self.model.method
        w = method.sample_w(torch.tensor([seed], device=method.device), 0.7)
        return method.generator.repeat(w)

    def _train(self, message: AnnotateTrain, report: Reporter) -> Answer:
        own = fresh_copy(self.model.method)
        mask = self._labels(message.mask)[None].to(own.device)

        def progress(done: int, total: int, loss: float) -> None:
            images = []
            if done % max(1, total // PREVIEWS) == 0:
                images = [webp(preview(own, mask))]
            report(done / total, f"Step {done} of {total}", images, loss=round(loss, 4))

        shots = {"mask": mask, "w_plus": self._sample(message.seed)}
        train_on_shots(own, shots, message.steps, progress)
        own.generator = self.model.method.generator  # no copy, wherever the alias has been
        key = digest(message.mask, str((message.seed, message.steps)).encode())
        kept = [*self.encoders.items(), (key, own)]
        self.encoders = dict(kept[-MAX_ENCODERS:])
        return Answer({"encoder": key})


@torch.inference_mode()
def preview(method: FewShotSMIS, mask: Tensor) -> Tensor:
    """Image (3, H, W) of marks (1, H, W) by an encoder in training."""
    method.eval()
    image = method.draw(method.latents({"mask": mask, "seed": torch.zeros_like(mask[:, 0, 0])}))[0]
    method.train()
    return image
