"""Messages of the page: each is validated against these before anything is done.

The page owns what a visitor makes. Each message says all that its answer depends on, so it may be
repeated, and nothing on the server has to last.

Numbers are finite and bounded, lists are short, unknown keys are refused. Whether a point is inside
the image, or a label is a class, depends on the model and is checked by the tabs.
"""

from dataclasses import astuple
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Base64Bytes,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    TypeAdapter,
)

from semsynth.networks.motion.marks import MAX_MARKS, Mark

MAX_MESSAGE = 2**20  # bytes
MAX_LABELS = 2**19  # base64 characters: a map of 512x512 is the largest

Seed = Annotated[int, Field(ge=0, lt=2**32)]
Small = Annotated[int, Field(ge=0, lt=256)]
Labels = Annotated[Base64Bytes, Field(max_length=MAX_LABELS)]
Key = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]  # of Store
ModelKey = Annotated[str, Field(pattern=r"^([0-9a-f]{16})?$")]
JobKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{8,64}$")]
STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Message(BaseModel):
    """Base of all messages: a number, which the answer repeats, and the model that is meant.

    Without ``model``, it is the first one of the tab.
    """

    model_config = STRICT

    seq: Annotated[int, Field(ge=0, lt=2**53)]
    model: ModelKey = ""


class Job(Message):
    """Base of the messages whose work takes seconds.

    Asking again with the same key, from any page, joins the job instead of starting it again.
    """

    job: JobKey


class Hello(Message):
    """Requests the properties of the models."""

    type: Literal["hello"]


class Stop(Message):
    """Stops a job."""

    type: Literal["stop"]
    job: JobKey


def bounded(mark: Mark) -> Mark:
    """A mark with sane numbers; whether it is inside the image is checked later."""
    if max(map(abs, astuple(mark))) > 4096:
        raise ValueError("A mark is far outside of any image.")
    return mark


BoundedMark = Annotated[Mark, AfterValidator(bounded)]


class DragMarks(Message):
    """Previews marks on the image of latents ``at``, or applies them, in a region if given."""

    type: Literal["drag.preview", "drag.commit"]
    at: Key
    marks: Annotated[list[BoundedMark], Field(min_length=1, max_length=MAX_MARKS)]
    region: Key | None = None
    closed_loop: bool = False


class DragSample(Message):
    """Draws a sample."""

    type: Literal["drag.sample"]
    seed: Seed


class DragStyle(Message):
    """Gives an image the style of a sample."""

    type: Literal["drag.style"]
    at: Key
    seed: Seed


class DragShow(Message):
    """Draws the image of latents."""

    type: Literal["drag.show"]
    at: Key


class DragPhoto(Job):
    """Inverts an uploaded photo."""

    type: Literal["drag.photo"]
    upload: Key


class DragStep(BaseModel):
    """A step of the history, to be exported."""

    model_config = STRICT

    kind: Literal["sample", "image", "drag", "style", "reset"]
    at: Key
    details: dict[str, JsonValue] = {}


class DragExport(Message):
    """Exports a history."""

    type: Literal["drag.export"]
    steps: Annotated[list[DragStep], Field(min_length=1, max_length=10_000)]


class Change(BaseModel):
    """A change of style: of a class or all, on a level or all; by seed or as in a reference.

    Attributes:
        label: The class.
        level: The level.
        seed: Seed of the new codes.
        reference: Photo of the new codes, if there is no seed.
        labels: Label map of the photo.
        keep: Whether pixels outside the class stay.
    """

    model_config = STRICT

    label: Small | None = None
    level: Small | None = None
    seed: Seed | None = None
    reference: Key | None = None
    labels: Key | None = None
    keep: bool = False


class Recipe(BaseModel):
    """How an image came to its style: a seed, then changes."""

    model_config = STRICT

    seed: Seed
    changes: Annotated[tuple[Change, ...], Field(max_length=256)] = ()


class PaintDraw(Message):
    """Draws images of a label map."""

    type: Literal["paint.draw"]
    mask: Labels
    recipes: Annotated[tuple[Recipe, ...], Field(min_length=1, max_length=8)]


class PaintExample(Message):
    """Takes a label map, or a reference, from the toy world."""

    type: Literal["paint.example", "paint.example_reference"]
    seed: Seed


class PaintUpload(Message):
    """Takes a label map from a file, or labels a photo."""

    type: Literal["paint.mask", "paint.photo"]
    upload: Key


class PaintReference(Message):
    """Takes a photo as reference, under a label map if there is no segmenter."""

    type: Literal["paint.reference"]
    upload: Key
    mask: Labels


class ScribbleMarks(Message):
    """Marks, seed of the first style, number of images, and the visitor's own encoder, if any."""

    mask: Labels
    seed: Seed
    count: Annotated[int, Field(ge=1, le=8)]
    encoder: Key | None = None


class ScribbleDraw(ScribbleMarks):
    """Draws images of marks, or of refined latents ``at``."""

    type: Literal["scribble.draw"]
    at: Key | None = None


class ScribbleRefine(ScribbleMarks, Job):
    """Refines the images of marks."""

    type: Literal["scribble.refine"]


class ScribbleExample(Message):
    """Takes marks of the toy world."""

    type: Literal["scribble.example"]
    seed: Seed
    kind: Literal["scribbles", "landmarks", "dense"]


class ScribbleUpload(Message):
    """Takes a label map from a file."""

    type: Literal["scribble.mask"]
    upload: Key


class AnnotateSample(Message):
    """Draws a sample of the generator to label."""

    type: Literal["annotate.sample"]
    seed: Seed


class AnnotateTrain(Job):
    """Trains an encoder on a sample and its labels."""

    type: Literal["annotate.train"]
    mask: Labels
    seed: Seed
    steps: Annotated[int, Field(ge=10, le=1000)]


AnyMessage = Annotated[
    Hello
    | Stop
    | DragMarks
    | DragSample
    | DragStyle
    | DragShow
    | DragPhoto
    | PaintDraw
    | PaintExample
    | PaintUpload
    | PaintReference
    | ScribbleDraw
    | ScribbleRefine
    | ScribbleExample
    | ScribbleUpload
    | AnnotateSample
    | AnnotateTrain,
    Field(discriminator="type"),
]
MESSAGE: TypeAdapter[AnyMessage] = TypeAdapter(AnyMessage)


def parse(text: str | bytes) -> AnyMessage:
    """A message from JSON."""
    return MESSAGE.validate_json(text)
