"""Messages of the page: each is validated against these before anything is done.

Numbers are finite and bounded, lists are short, unknown keys are refused. Whether a point is inside
the image, or a label is a class, depends on the model and is checked by the tabs.
"""

from dataclasses import astuple
from typing import Annotated, Literal

from pydantic import AfterValidator, Base64Bytes, BaseModel, ConfigDict, Field, TypeAdapter

from semsynth.networks.motion.marks import MAX_MARKS, Mark

MAX_MESSAGE = 2**20  # bytes
MAX_LABELS = 2**19  # base64 characters: a map of 512x512 is the largest

Seed = Annotated[int, Field(ge=0, lt=2**32)]
Small = Annotated[int, Field(ge=0, lt=256)]
Labels = Annotated[Base64Bytes, Field(max_length=MAX_LABELS)]


class Message(BaseModel):
    """Base of all messages: a number, which the answer repeats."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    seq: Annotated[int, Field(ge=0, lt=2**53)]


class Hello(Message):
    """Requests the whole state of the session."""

    type: Literal["hello"]


class Stop(Message):
    """Stops the long job of this visitor."""

    type: Literal["stop"]


def bounded(mark: Mark) -> Mark:
    """A mark with sane numbers; whether it is inside the image is checked later."""
    if max(map(abs, astuple(mark))) > 4096:
        raise ValueError("A mark is far outside of any image.")
    return mark


BoundedMark = Annotated[Mark, AfterValidator(bounded)]


class DragMarks(Message):
    """Previews marks, or applies them."""

    type: Literal["drag.preview", "drag.commit"]
    marks: Annotated[list[BoundedMark], Field(min_length=1, max_length=MAX_MARKS)]
    closed_loop: bool = False


class DragStart(Message):
    """Starts from a sample, or gives the image the style of one."""

    type: Literal["drag.sample", "drag.style"]
    seed: Seed


class DragStep(Message):
    """Moves through the history, or returns the position in it."""

    type: Literal["drag.undo", "drag.redo", "drag.reset", "drag.show"]


class DragPhoto(Message):
    """Starts from an uploaded photo."""

    type: Literal["drag.photo"]
    upload: Seed


class PaintMask(Message):
    """Draws the images of a label map."""

    type: Literal["paint.draw"]
    mask: Labels


class PaintSeed(Message):
    """Draws new images: number ``i`` has the seed ``seed + i``."""

    type: Literal["paint.sample"]
    seed: Seed
    count: Annotated[int, Field(ge=1, le=8)]


class PaintResample(Message):
    """Resamples some codes; all samples, classes or levels by default."""

    type: Literal["paint.resample"]
    seed: Seed
    sample: Small | None = None
    label: Small | None = None
    level: Small | None = None
    keep: bool = False


class PaintUndo(Message):
    """Undoes the last style change."""

    type: Literal["paint.undo"]


class PaintExample(Message):
    """Takes a label map, or a reference, from the toy world."""

    type: Literal["paint.example", "paint.example_reference"]
    seed: Seed


class PaintUpload(Message):
    """Takes a label map from a file, labels a photo, or takes a photo as reference."""

    type: Literal["paint.mask", "paint.photo", "paint.reference"]
    upload: Seed


class PaintStyle(Message):
    """Uses the style of the reference, for one class or all."""

    type: Literal["paint.style"]
    label: Small | None = None
    level: Small | None = None
    sample: Small | None = None


class ScribbleDraw(Message):
    """Draws images of a label map; number ``i`` has the style of the seed ``seed + i``."""

    type: Literal["scribble.draw"]
    mask: Labels
    seed: Seed
    count: Annotated[int, Field(ge=1, le=8)]


class ScribbleStep(Message):
    """Refines the images, or switches between the pretrained encoder and the visitor's own."""

    type: Literal["scribble.refine", "scribble.use_shipped", "scribble.use_own"]


class ScribbleExample(Message):
    """Takes marks of the toy world."""

    type: Literal["scribble.example"]
    seed: Seed
    kind: Literal["scribbles", "landmarks", "dense"]


class ScribbleUpload(Message):
    """Takes a label map from a file."""

    type: Literal["scribble.mask"]
    upload: Seed


class AnnotateSample(Message):
    """Draws a sample of the generator to label."""

    type: Literal["annotate.sample"]
    seed: Seed


class AnnotateNotes(Message):
    """Stores the labels of the sample."""

    type: Literal["annotate.notes"]
    mask: Labels


class AnnotateTrain(Message):
    """Trains an encoder on the sample and its labels."""

    type: Literal["annotate.train"]
    mask: Labels
    steps: Annotated[int, Field(ge=10, le=1000)]


AnyMessage = Annotated[
    Hello
    | Stop
    | DragMarks
    | DragStart
    | DragStep
    | DragPhoto
    | PaintMask
    | PaintSeed
    | PaintResample
    | PaintUndo
    | PaintExample
    | PaintUpload
    | PaintStyle
    | ScribbleDraw
    | ScribbleStep
    | ScribbleExample
    | ScribbleUpload
    | AnnotateSample
    | AnnotateNotes
    | AnnotateTrain,
    Field(discriminator="type"),
]
MESSAGE: TypeAdapter[AnyMessage] = TypeAdapter(AnyMessage)


def parse(text: str | bytes) -> AnyMessage:
    """A message from JSON."""
    return MESSAGE.validate_json(text)
