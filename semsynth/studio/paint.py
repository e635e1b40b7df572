"""The Paint tab: paint a label map, and several images follow it."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from semsynth.data import ToyStreet
from semsynth.networks.clvae.style_codes import StyleCodes, complete, paste_back, replace_codes
from semsynth.studio.answers import Answer, Reporter, TabError, exported, webp
from semsynth.studio.labels import bytes_of, classes_of_space, labels_of, taken
from semsynth.studio.messages import (
    PaintExample,
    PaintMask,
    PaintResample,
    PaintSeed,
    PaintStyle,
    PaintUndo,
    PaintUpload,
)
from semsynth.studio.models import Painter

SAMPLES = 4
EXAMPLES = 64
MAX_HISTORY = 30

Message = (
    PaintMask | PaintSeed | PaintResample | PaintUndo | PaintExample | PaintUpload | PaintStyle
)


@dataclass(frozen=True)
class Painting:
    """Codes and images of one state.

    Attributes:
        codes: Codes of the samples.
        images: Images (K, 3, H, W) in [-1, 1].
        recipes: How each was made: its seed, then the changes.
    """

    codes: StyleCodes
    images: Tensor
    recipes: list[dict[str, Any]]


class PaintTab:
    """One visitor's label map and images."""

    def __init__(self, model: Painter) -> None:
        self.model = model
        self.method = model.method
        height, width = model.method.hparams["image_size"]
        self.size = (int(height), int(width))
        self.mask = self._first_mask()
        self.reference: tuple[Tensor, Tensor] | None = None
        self._history: list[Painting] = []
        self._now: Painting | None = None

    @property
    def now(self) -> Painting:
        """The current images, initially samples of seed 0."""
        if self._now is None:
            self._now = self._sample(0, SAMPLES)
        return self._now

    def info(self) -> dict[str, Any]:
        """Model properties for the page."""
        levels, rows, _ = self.method.code_shape
        return {
            "classes": classes_of_space(self.model.space),
            "size": list(self.size),
            "levels": levels,
            "class_wise": rows > 1,
            "labels_photos": self.model.segmenter is not None,
            "examples": self.model.toy,
        }

    @torch.inference_mode()
    def answer(self, message: Message, uploads: dict[int, Tensor], report: Reporter) -> Answer:
        """Handle a message; uploads are photos (3, H, W) and label maps by number."""
        match message:
            case PaintMask():
                self._take_mask(labels_of(message.mask, self.size, self.model.space))
                return self.pictures()
            case PaintSeed():
                self._advance(self._sample(message.seed, message.count))
                return self.pictures()
            case PaintResample():
                self._resample(message)
                return self.pictures()
            case PaintStyle():
                self._take_style(message)
                return self.pictures()
            case PaintUndo():
                if not self._history:
                    raise TabError("There is no style change to undo.")
                past = self._history.pop()
                self._now = self._redrawn(past.codes, past.recipes)
                return self.pictures()
            case PaintExample(type="paint.example"):
                self._take_mask(self._example(message.seed)[1])
            case PaintExample():
                self.reference = self._example(message.seed)
            case PaintUpload(type="paint.mask"):
                self._take_mask(taken(uploads, message.upload))
            case PaintUpload(type="paint.photo"):
                self._take_mask(self._labelled(taken(uploads, message.upload)))
            case PaintUpload():
                photo = taken(uploads, message.upload)
                segmenter = self.model.segmenter
                labels = self.mask[0] if segmenter is None else self._labelled(photo)
                self.reference = photo, labels
        return self.state()

    def state(self) -> Answer:
        """Label map, images and reference."""
        fields = {"mask": bytes_of(self.mask[0]), **self._fields()}
        images = [webp(image) for image in self.now.images]
        if self.reference is not None:
            fields["reference_mask"] = bytes_of(self.reference[1])
            images.append(webp(self.reference[0]))
        return Answer(fields, images)

    def pictures(self) -> Answer:
        """The images alone."""
        return Answer(self._fields(), [webp(image) for image in self.now.images])

    def export(self, name: str) -> bytes:
        """``mask.png``, ``N.png``, the image of a sample, or ``all.zip``."""
        return exported(name, tuple(self.now.images), self.mask[0], self.model.space)

    def _fields(self) -> dict[str, Any]:
        return {"recipes": self.now.recipes, "can_undo": bool(self._history)}

    def _first_mask(self) -> Tensor:
        if self.model.toy:
            return self._example(0)[1][None]
        return torch.zeros(1, *self.size, dtype=torch.int64, device=self.method.device)

    def _example(self, seed: int) -> tuple[Tensor, Tensor]:
        if not self.model.toy:
            raise TabError("Only the toy model has examples; load a file.")
        data = ToyStreet(self.size[0], test_size=EXAMPLES)
        item = data.rendered("test")[seed % EXAMPLES]
        return item["image"], item["mask"]

    def _labelled(self, photo: Tensor) -> Tensor:
        if self.model.segmenter is None:
            raise TabError("No shipped segmenter has these classes; load a label map.")
        return self.model.segmenter(photo[None].to(self.method.device)).argmax(1)[0]

    def _take_mask(self, mask: Tensor) -> None:
        self.mask = mask[None].to(self.method.device)
        self._now = self._redrawn(self.now.codes, self.now.recipes)

    def _sample(self, seed: int, count: int) -> Painting:
        seeds = torch.arange(seed, seed + count, device=self.method.device)
        return self._redrawn(self.method.sample(seeds), [{"seed": int(s)} for s in seeds])

    def _resample(self, message: PaintResample) -> None:
        codes, recipes = self.now.codes, self.now.recipes
        seeds = torch.arange(message.seed, message.seed + len(codes), device=self.method.device)
        drawn = self.method.sample(seeds, codes.z_global)
        change = {"label": message.label, "level": message.level}
        edited = replace_codes(codes, drawn, self._where(message))
        told = [{**change, "seed": int(s)} for s in seeds]
        self._advance(self._redrawn(edited, self._with(message.sample, recipes, told)))
        if message.keep and message.label is not None:
            self._keep_outside(message.label)

    def _take_style(self, message: PaintStyle) -> None:
        if self.reference is None:
            raise TabError("Choose a reference image first.")
        where = self._where(message)
        image, labels = (x[None].to(self.method.device) for x in self.reference)
        codes, recipes = self.now.codes, self.now.recipes
        if message.label is not None and not bool((labels == message.label).any()):
            name = self.model.space.names[message.label]
            raise TabError(f"There is no {name} in the reference, so its style is not known.")
        own = self.method.encode({"image": image, "mask": labels})
        taken_codes = complete(own.expand(len(codes)), codes)
        edited = replace_codes(codes, taken_codes, where)
        told = [{"label": message.label, "level": message.level, "reference": True}] * len(codes)
        self._advance(self._redrawn(edited, self._with(message.sample, recipes, told)))

    def _where(self, message: PaintResample | PaintStyle) -> Tensor:
        """Mask (K, L, rows, 1) of the codes to change."""
        chosen = self.method.where(
            None if message.label is None else [message.label],
            None if message.level is None else [message.level],
        )
        count = len(self.now.codes)
        if message.sample is not None and message.sample >= count:
            raise TabError(f"There is no sample {message.sample}.")
        numbers = torch.arange(count, device=chosen.device)
        of_sample = numbers == (numbers if message.sample is None else message.sample)
        return chosen & of_sample[:, None, None, None]

    def _with(
        self, sample: int | None, recipes: list[dict[str, Any]], told: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """Recipes, with a change added to those of the affected samples."""
        return [
            {**recipe, "changes": [*recipe.get("changes", []), change]}
            if sample in (None, i)
            else recipe
            for i, (recipe, change) in enumerate(zip(recipes, told, strict=True))
        ]

    def _keep_outside(self, label: int) -> None:
        """Restore the previous pixels outside a class."""
        before = self._history[-1].images
        if before.shape == self.now.images.shape:
            mask = self.mask.expand(len(before), -1, -1)
            images = paste_back(self.now.images, before, mask, [label])
            self._now = Painting(self.now.codes, images, self.now.recipes)

    def _redrawn(self, codes: StyleCodes, recipes: list[dict[str, Any]]) -> Painting:
        batch = {"mask": self.mask.expand(len(codes), -1, -1)}
        images = self.method.decode(batch, codes.z_global, codes.z_local).float()
        return Painting(codes, images, recipes)

    def _advance(self, painting: Painting) -> None:
        self._history = [*self._history, self.now][-MAX_HISTORY:]
        self._now = painting
