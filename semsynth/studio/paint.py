"""The Paint tab: paint a label map, and several images follow it."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from semsynth.data import ToyStreet
from semsynth.images import from_uint8, to_uint8
from semsynth.networks.clvae.style_codes import StyleCodes, complete, paste_back, replace_codes
from semsynth.studio.answers import Answer, Reporter, TabError, exported, webp
from semsynth.studio.labels import bytes_of, classes_of_space, labels_of
from semsynth.studio.messages import (
    Change,
    PaintDraw,
    PaintExample,
    PaintReference,
    PaintUpload,
    Recipe,
)
from semsynth.studio.models import Painter
from semsynth.studio.store import Store, digest

EXAMPLES = 64
MAX_KEPT = 24  # images

Message = PaintDraw | PaintExample | PaintUpload | PaintReference


class PaintTab:
    """Draws the label maps of one visitor, in styles that recipes say."""

    def __init__(self, model: Painter, store: Store) -> None:
        self.model, self.method, self.store = model, model.method, store
        height, width = model.method.hparams["image_size"]
        self.size = (int(height), int(width))
        self.codes = lru_cache(256)(self._codes)
        self.style = lru_cache(16)(self._style)
        self._kept: dict[tuple[str, Recipe], Tensor] = {}

    def info(self) -> dict[str, Any]:
        """Model properties for the page."""
        levels, rows, _ = self.method.code_shape
        return {
            "model": self.model.about.identity,
            "title": self.model.about.title,
            "facts": self.model.about.facts,
            "classes": classes_of_space(self.model.space),
            "size": list(self.size),
            "levels": levels,
            "class_wise": rows > 1,
            "labels_photos": self.model.segmenter is not None,
            "examples": self.model.about.shipped,
        }

    @torch.inference_mode()
    def answer(self, message: Message, report: Reporter) -> Answer:
        """Handle a message."""
        match message:
            case PaintDraw():
                return Answer({}, [webp(image) for image in self.images(message)])
            case PaintExample(type="paint.example"):
                mask = self._example(message.seed)[1]
            case PaintExample():
                return self._reference(*self._example(message.seed))
            case PaintUpload(type="paint.mask"):
                mask = self.store.get(message.upload)
            case PaintUpload():
                mask = self._labelled(self.store.get(message.upload))
            case PaintReference():
                photo = self.store.get(message.upload)
                if self.model.segmenter is None:
                    return self._reference(photo, self._labels(message.mask))
                return self._reference(photo, self._labelled(photo))
        return Answer({"mask": bytes_of(mask)})

    @torch.inference_mode()
    def export(self, name: str, message: PaintDraw) -> bytes:
        """``mask.png``, ``N.png``, the image of a sample, or ``all.zip``."""
        images = () if name == "mask.png" else self.images(message)
        return exported(name, images, self._labels(message.mask), self.model.space)

    def images(self, message: PaintDraw) -> list[Tensor]:
        """The images (3, H, W) of recipes under a label map."""
        mask = self._labels(message.mask).to(self.method.device)
        return self._images(mask, digest(message.mask), message.recipes)

    def _images(self, mask: Tensor, key: str, recipes: Sequence[Recipe]) -> list[Tensor]:
        kept = self._kept  # replaced, never changed: downloads are drawn in another thread
        new = [recipe for recipe in dict.fromkeys(recipes) if (key, recipe) not in kept]
        images = {recipe: kept[key, recipe] for recipe in recipes if recipe not in new}
        if new:
            codes = joined([self.codes(recipe) for recipe in new])
            batch = {"mask": mask.expand(len(new), -1, -1)}
            drawn = self.method.decode(batch, codes.z_global, codes.z_local).float()
            images |= dict(zip(new, drawn, strict=True))
        if restoring := [recipe for recipe in new if recipe.changes and recipe.changes[-1].keep]:
            earlier = [Recipe(seed=r.seed, changes=r.changes[:-1]) for r in restoring]
            for recipe, before in zip(restoring, self._images(mask, key, earlier), strict=True):
                classes = [recipe.changes[-1].label or 0]
                images[recipe] = paste_back(
                    images[recipe][None], before[None], mask[None], classes
                )[0]
        self._keep({(key, recipe): image for recipe, image in images.items()})
        return [images[recipe] for recipe in recipes]

    def _keep(self, images: dict[tuple[str, Recipe], Tensor]) -> None:
        self._kept = dict(list({**self._kept, **images}.items())[-MAX_KEPT:])

    def _codes(self, recipe: Recipe) -> StyleCodes:
        """The codes that a recipe leads to."""
        codes = self.method.sample(torch.tensor([recipe.seed], device=self.method.device))
        for change in recipe.changes:
            other = self._other(change, codes)
            chosen = self.method.where(
                None if change.label is None else [change.label],
                None if change.level is None else [change.level],
            )
            codes = replace_codes(codes, other, chosen)
        return codes

    def _other(self, change: Change, codes: StyleCodes) -> StyleCodes:
        """The codes of which a change takes some."""
        if change.seed is not None:
            seed = torch.tensor([change.seed], device=self.method.device)
            return self.method.sample(seed, codes.z_global)
        if change.reference is None or change.labels is None:
            raise TabError("Choose a reference image first.")
        labels = self.store.get(change.labels)
        if change.label is not None and not bool((labels == change.label).any()):
            raise TabError(
                f"There is no {self._name(change.label)} in the reference, so its style is unknown."
            )
        return complete(self.style(change.reference, change.labels), codes)

    def _style(self, reference: str, labels: str) -> StyleCodes:
        """The codes of a reference."""
        image, mask = (self.store.get(key)[None] for key in (reference, labels))
        if image.shape[2:] != self.size or mask.shape[1:] != self.size:
            raise TabError("The reference is of another model; choose the photo again.")
        device = self.method.device
        return self.method.encode({"image": image.to(device), "mask": mask.to(device)})

    def _reference(self, image: Tensor, labels: Tensor) -> Answer:
        """A reference: its keys, its labels and its image."""
        image = from_uint8(to_uint8(image)).cpu()  # as the page gets it, and may upload it again
        fields = {"reference": self.store.put(image), "labels": self.store.put(labels.long())}
        return Answer({**fields, "mask": bytes_of(labels)}, [webp(image)])

    def _labels(self, data: bytes) -> Tensor:
        return labels_of(data, self.size, self.model.space)

    def _name(self, label: int) -> str:
        names = self.model.space.names
        return names[label] if label < len(names) else f"class {label}"

    def _example(self, seed: int) -> tuple[Tensor, Tensor]:
        if not self.model.about.shipped:
            raise TabError("Only the toy model has examples; load a file.")
        data = ToyStreet(self.size[0], test_size=EXAMPLES)
        item = data.rendered("test")[seed % EXAMPLES]
        return item["image"], item["mask"]

    def _labelled(self, photo: Tensor) -> Tensor:
        if self.model.segmenter is None:
            raise TabError("No shipped segmenter has these classes; load a label map.")
        return self.model.segmenter(photo[None].to(self.method.device)).argmax(1)[0]


def joined(codes: Sequence[StyleCodes]) -> StyleCodes:
    """Codes of single images as one batch."""
    return StyleCodes(
        torch.cat([c.z_global for c in codes]),
        torch.cat([c.z_local for c in codes]),
        torch.cat([c.present for c in codes]),
    )
