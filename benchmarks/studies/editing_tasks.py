"""The edits that the comparison of editors asks for, on the prior and of the renderer."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from semsynth.data.toy import Factors, PortraitWorld
from semsynth.data.toy.world import Rendering
from semsynth.editing import Canvas
from semsynth.editing.pairs import on_canvas
from semsynth.editing.requests import Accept, draw_drags, draw_zooms, edges
from semsynth.images import to_uint8
from semsynth.metrics.parts import PartMotion
from semsynth.networks.motion.marks import Marks
from semsynth.networks.noise import sample_seed, seeded_normal

WORLD = PortraitWorld()
SIZE = 64  # of true portraits
SEGMENTER = "toy_portrait"
SMALL = ("brow", "eye", "nose", "mouth")
PARTS = ("skin", "hair", *SMALL)
HELD_OUT = 5 << 20  # seed of images that nothing was trained or tuned on
REAL = 1 << 42  # first sample of the renderer that is looked at


@dataclass(frozen=True)
class Task:
    """Edits to be done.

    Attributes:
        w_plus: Latents (N, num_ws, w_dim) to edit; images for the renderer, which has none.
        image: Their images (N, 3, H, W), on the canvas.
        supplied: Which of the marks the editor is told (N, K); the others are only measured.
    """

    name: str
    w_plus: Tensor
    image: Tensor
    requests: Marks
    supplied: Tensor

    def __len__(self) -> int:
        return len(self.image)

    def rows(self, rows: Tensor | slice) -> "Task":
        """Some of the edits."""
        w_plus, image, supplied = (x[rows] for x in (self.w_plus, self.image, self.supplied))
        return Task(self.name, w_plus, image, Marks(*(x[rows] for x in self.requests)), supplied)


def drag_task(canvas: Canvas, number: int, truncation: float, num_anchors: int) -> Task:
    """Drags of 2 to 8 pixels of 64 on samples of the prior, with anchors or without.

    Each starts in one of six parts, all alike likely, where the features change, and would leave
    the centre of that part where it can be in portraits.
    """
    seed = sample_seed(HELD_OUT, torch.arange(2 * number), num_anchors)
    w_plus, image, weight = samples(canvas, seed, truncation)
    requests, good = plausible_drags(seed, image, weight, number, num_anchors)
    name = f"drag, {num_anchors} anchors" if num_anchors else "drag"
    return Task(name, w_plus[good], image[good], requests, requests.points_mask)


def zoom_task(canvas: Canvas, number: int, truncation: float) -> Task:
    """Zooms by 5 to 22 % in or out, at such points."""
    seed = sample_seed(HELD_OUT, torch.arange(number), 100)
    w_plus, image, weight = samples(canvas, seed, truncation)
    requests = draw_zooms(seed, weight, 0.05, 0.2)
    return Task("zoom", w_plus, image, requests, requests.points_mask)


def without_anchors(task: Task) -> Task:
    """The same edits with the anchors only measured."""
    moves = task.requests.motions.any(dim=2) & task.supplied
    return Task(f"{task.name} not told", task.w_plus, task.image, task.requests, moves)


def renderer_drags(number: int) -> tuple[Task, Rendering]:
    """Drags of true portraits, and the portraits moved by the renderer as they ask."""
    layout, appearance, image = portraits(2 * number)
    seed = sample_seed(HELD_OUT, torch.arange(2 * number))
    requests, good = plausible_drags(seed, image, part_weight(image), number)
    x, y = (requests.motions[:, 0, :2] * 2 / SIZE).unbind(1)
    moved, looks = ({k: v[good] for k, v in factors.items()} for factors in (layout, appearance))
    moved |= {"shift_x": moved["shift_x"] + x, "shift_y": moved["shift_y"] + y}
    edited = WORLD.render(moved, looks, SIZE)
    return Task("drag", image[good], image[good], requests, requests.points_mask), edited


def plausible_drags(
    seed: Tensor, image: Tensor, weight: Tensor, number: int, num_anchors: int = 0
) -> tuple[Marks, Tensor]:
    """The first drags that have a plausible target, and the rows (number,) of their images."""
    unit = image.shape[-1] / 64
    found = draw_drags(seed, weight, 2 * unit, 8 * unit, num_anchors, accept=plausible(image))
    good = found.points_mask[:, 0].nonzero()[:number, 0]
    return Marks(*(tensor[good] for tensor in found)), good


def renderer_zooms(number: int) -> tuple[Task, Tensor]:
    """Zooms of true portraits, and the portraits zoomed by the renderer around the points."""
    layout, appearance, image = portraits(number)
    seed = sample_seed(HELD_OUT, torch.arange(number), 100)
    requests = draw_zooms(seed, part_weight(image), 0.05, 0.2)
    factor = (-requests.motions[:, 0, 2]).exp()
    x, y = ((2 * requests.points[:, 0] + 1) / SIZE - 1).unbind(1)
    head = 0.14  # the head is that much above its shift
    moved = layout | {
        "zoom": layout["zoom"] * factor,
        "shift_x": x + (layout["shift_x"] - x) * factor,
        "shift_y": y + (layout["shift_y"] - head - y) * factor + head,
    }
    edited = WORLD.render(moved, appearance, SIZE).image
    return Task("zoom", image, image, requests, requests.points_mask), edited


def samples(canvas: Canvas, seed: Tensor, truncation: float) -> tuple[Tensor, Tensor, Tensor]:
    """Latents and images, on the canvas, of seeds (B,), and how likely each pixel is marked."""
    G = canvas.generator
    w_plus = G.repeat(G.truncate(G.mapping(seeded_normal(seed, G.z_dim)), truncation))
    image = on_canvas(torch.cat([canvas.draw(part) for part in w_plus.split(64)]), canvas.size)
    weight = part_weight(image) * edges(canvas.features(w_plus), canvas.size)
    return w_plus, image, weight


def portraits(number: int, size: int = SIZE) -> tuple[Factors, Factors, Tensor]:
    """Layout, appearance and images of true portraits."""
    index = torch.arange(REAL, REAL + number)
    layout, appearance = WORLD.sample_layout(0, index), WORLD.sample_appearance(0, index)
    return layout, appearance, WORLD.render(layout, appearance, size).image


def part_weight(image: Tensor) -> Tensor:
    """Weights (B, H, W) of pixels with which each part of ``PARTS`` is alike likely."""
    members = (labels(image)[:, None] == classes_of(PARTS)[:, None, None]).double()  # (B, P, H, W)
    return (members / members.sum(dim=(2, 3), keepdim=True).clamp(min=1)).sum(dim=1)


def in_small_parts(task: Task) -> Tensor:
    """Which edits (N,) move a point of a small part.

    The centre of such a part moves as its points do; that of skin or hair also moves with its
    outline, and with what is in front of it.
    """
    part = part_at(labels(task.image), task.requests.points[:, 0])
    return torch.isin(part, classes_of(SMALL))


def classes_of(names: Sequence[str]) -> Tensor:
    """Classes (P,) of parts."""
    return torch.tensor([WORLD.label_space.names.index(name) for name in names])


def part_at(seen: Tensor, points: Tensor) -> Tensor:
    """Classes (B,) of label maps (B, H, W) at whole pixels (B, 2)."""
    x, y = points.long().unbind(1)
    return seen[torch.arange(len(seen)), y, x]


def plausible(image: Tensor) -> Accept:
    """Accepts targets with which the centre of a point's part stays where portraits have it."""
    low, high = ranges_of_centres(image.shape[-1])
    centres = judge().parts(image)[1].float()
    seen = labels(image)

    def accept(start: Tensor, target: Tensor) -> Tensor:
        part = part_at(seen, start)
        centre = centres[torch.arange(len(part)), part][:, None] + target - start[:, None]
        return ((centre >= low[part][:, None]) & (centre <= high[part][:, None])).all(dim=2)

    return accept


@cache
def ranges_of_centres(size: int) -> tuple[Tensor, Tensor]:
    """Lowest and highest 2 % of the centres (P, 2) of the parts of true portraits."""
    centres = judge().parts(portraits(1024, size)[2])[1].float()
    return centres.quantile(torch.tensor(0.02), dim=0), centres.quantile(torch.tensor(0.98), dim=0)


@cache
def judge() -> PartMotion:
    """The segmenter's view of parts."""
    return PartMotion(SEGMENTER)


def labels(image: Tensor) -> Tensor:
    """Classes (B, H, W) of images."""
    return torch.cat([judge().logits(part).argmax(1) for part in to_uint8(image).split(64)])
