"""The Scribble tab: images from rough marks, and an encoder trained on one labelled sample."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from semsynth.data import ToyPortrait
from semsynth.data.sparse import SparseLabels
from semsynth.methods import FewShotSMIS
from semsynth.studio.annotate import fresh_copy, train_on_shots
from semsynth.studio.answers import Answer, Reporter, TabError, exported, webp
from semsynth.studio.labels import bytes_of, classes_of_space, labels_of, taken
from semsynth.studio.messages import (
    AnnotateNotes,
    AnnotateSample,
    AnnotateTrain,
    ScribbleDraw,
    ScribbleExample,
    ScribbleStep,
    ScribbleUpload,
)
from semsynth.studio.models import Scribbler

SAMPLES = 4
EXAMPLES = 64
REFINE_STEPS = 40
REFINE_PRIOR = 0.005  # a little less close to the marks, and closer to a portrait
PREVIEWS = 12  # pictures during a training

Message = (
    ScribbleDraw | ScribbleStep | ScribbleExample | ScribbleUpload | AnnotateSample | AnnotateTrain
)


@dataclass(frozen=True)
class Results:
    """Images of a label map.

    Attributes:
        w_plus: Their latents (K, num_ws, w_dim).
        images: The images (K, 3, H, W) in [-1, 1].
        seed: Seed of the first style.
        refined: Whether the latents were refined.
    """

    w_plus: Tensor
    images: Tensor
    seed: int
    refined: bool


class ScribbleTab:
    """One visitor's marks, images and encoder."""

    def __init__(self, model: Scribbler) -> None:
        self.model = model
        self.size: tuple[int, int] = model.method.image_size
        self.own: FewShotSMIS | None = None
        self.uses_own = False
        self.results: Results | None = None
        self.sample: tuple[int, Tensor, Tensor] | None = None
        self.notes = torch.zeros(self.size, dtype=torch.int64)
        self.mask = torch.zeros(self.size, dtype=torch.int64)
        if model.toy:
            self.mask = self._example(1, "scribbles")

    @property
    def method(self) -> FewShotSMIS:
        """The encoder in use: the pretrained one, or the visitor's own."""
        return self.own if self.uses_own and self.own is not None else self.model.method

    def info(self) -> dict[str, Any]:
        """Model properties for the page."""
        return {
            "classes": classes_of_space(self.model.space),
            "size": list(self.size),
            "sparse": self.model.method.sparse,
            "examples": self.model.toy,
            "refines": bool(self.model.method.prototypes.seen.any()),
        }

    def answer(self, message: Message, uploads: dict[int, Tensor], report: Reporter) -> Answer:
        """Handle a message; uploads are label maps (H, W) by number."""
        match message:
            case ScribbleDraw():
                self.mask = labels_of(message.mask, self.size, self.model.space)
                self._draw(message.seed, message.count)
                return self.pictures()
            case ScribbleStep(type="scribble.refine"):
                self._refine(report)
                return self.pictures()
            case ScribbleStep():
                self._use(own=message.type == "scribble.use_own")
            case ScribbleExample():
                self.mask = self._example(message.seed, message.kind)
                self._draw_again()
            case ScribbleUpload():
                self.mask = taken(uploads, message.upload)
                self._draw_again()
            case AnnotateSample():
                self._draw_sample(message.seed)
            case AnnotateNotes():
                self.notes = labels_of(message.mask, self.size, self.model.space)
                return Answer()
            case AnnotateTrain():
                self._train(message, report)
        return self.state()

    def state(self) -> Answer:
        """Marks, images, and the sample to label."""
        if self.results is None and self._has_marks():
            self._draw(0, SAMPLES)
        if self.sample is None:
            self._draw_sample(0)
        assert self.sample is not None
        fields = {
            "mask": bytes_of(self.mask),
            "notes": bytes_of(self.notes),
            "sample_seed": self.sample[0],
            **self._fields(),
        }
        return Answer(fields, [*self.pictures().images, webp(self.sample[2])])

    def pictures(self) -> Answer:
        """The images alone."""
        images = [] if self.results is None else [webp(x) for x in self.results.images]
        return Answer(self._fields(), images)

    def export(self, name: str) -> bytes:
        """``mask.png``, ``N.png``, the image of a sample, or ``all.zip``."""
        images = () if self.results is None else tuple(self.results.images)
        return exported(name, images, self.mask, self.model.space)

    def _fields(self) -> dict[str, Any]:
        results = self.results
        return {
            "seed": 0 if results is None else results.seed,
            "refined": results is not None and results.refined,
            "has_own": self.own is not None,
            "uses_own": self.uses_own,
        }

    def _has_marks(self) -> bool:
        return bool((self.mask > 0).any()) if self.method.sparse else True

    @torch.inference_mode()
    def _draw(self, seed: int, count: int) -> None:
        if not self._has_marks():
            self.results = None
            raise TabError("There are no marks yet: choose a class and draw a stroke.")
        seeds = torch.arange(seed, seed + count, device=self.method.device)
        mask = self.mask.to(seeds.device).expand(count, -1, -1)
        w_plus = self.method.latents({"mask": mask, "seed": seeds})
        self.results = Results(w_plus, self.method.draw(w_plus), seed, refined=False)

    def _draw_again(self) -> None:
        results = self.results
        if results is None:
            self._draw(0, SAMPLES)
        else:
            self._draw(results.seed, len(results.images))

    def _refine(self, report: Reporter) -> None:
        if self.results is None:
            raise TabError("There is nothing to refine yet: draw first.")
        method, w_plus = self.method, self.results.w_plus

        def progress(done: int, total: int) -> None:
            report(done / total, f"Refining: {done} of {total}")

        method.refine, method.refine_steps = "layers", REFINE_STEPS
        method.refine_prior = REFINE_PRIOR
        mask = self.mask.to(w_plus.device).expand(len(w_plus), -1, -1)
        refined = method.refined(w_plus, mask, progress)
        with torch.inference_mode():
            images = method.draw(refined)
        self.results = Results(refined, images, self.results.seed, refined=True)

    def _use(self, own: bool) -> None:
        if own and self.own is None:
            raise TabError("You have no encoder yet: train one under Annotate.")
        self.uses_own = own
        if self._has_marks():
            self._draw_again()

    def _example(self, seed: int, kind: str) -> Tensor:
        if not self.model.toy:
            raise TabError("Only the toy model has examples; load a file.")
        dense = ToyPortrait(self.size[0], test_size=EXAMPLES).rendered("test")
        if kind == "dense":
            return dense[seed % EXAMPLES]["mask"] + 1  # 0 is unknown
        marks = SparseLabels(dense, "landmarks" if kind == "landmarks" else "scribbles")
        return marks[seed % EXAMPLES]["mask"]

    @torch.inference_mode()
    def _draw_sample(self, seed: int) -> None:
        method = self.model.method
        w_plus = method.generator.repeat(
            method.sample_w(torch.tensor([seed], device=method.device), 0.7)
        )
        self.sample = seed, w_plus, method.draw(w_plus)[0]
        self.notes = torch.zeros_like(self.notes)

    def _train(self, message: AnnotateTrain, report: Reporter) -> None:
        if self.sample is None:
            raise TabError("Draw a sample to label first.")
        self.notes = labels_of(message.mask, self.size, self.model.space)
        w_plus = self.sample[1].clone()  # outside of inference mode
        own = fresh_copy(self.model.method)
        mask = self.notes[None].to(own.device)

        def progress(done: int, total: int, loss: float) -> None:
            images = []
            if done % max(1, total // PREVIEWS) == 0:
                images = [webp(preview(own, mask))]
            report(done / total, f"Step {done} of {total}", images, loss=round(loss, 4))

        train_on_shots(own, {"mask": mask, "w_plus": w_plus}, message.steps, progress)
        self.own = own
        self._use(own=True)


@torch.inference_mode()
def preview(method: FewShotSMIS, mask: Tensor) -> Tensor:
    """Image (3, H, W) of marks (1, H, W) by an encoder in training."""
    method.eval()
    image = method.draw(method.latents({"mask": mask, "seed": torch.zeros_like(mask[:, 0, 0])}))[0]
    method.train()
    return image
