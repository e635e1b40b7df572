"""A session of edits: the state of a page or script while a user drags."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from semsynth.editing.canvas import Canvas, Editor
from semsynth.editing.regions import allowed
from semsynth.editing.trajectory import (
    Held,
    Step,
    held_canvas,
    read_trajectory,
    write_trajectory,
)
from semsynth.inversion import Distance, default_recipe, invert
from semsynth.networks.motion.feature_tracking import Follower
from semsynth.networks.motion.marks import EditError, Mark, Marks

Progress = Callable[[int, int], None]
"""Called with the steps done and all steps."""
ZOOM_TOLERANCE = 0.05  # of log expansion


@dataclass(frozen=True)
class Report:
    """Result of a mark.

    Attributes:
        requested: Requested motion: flow (x, y) in pixels of the canvas and log expansion.
        achieved: Achieved motion, by the features of the generator.
        reached: Whether the two agree within a 64th of the canvas, and 5 % of size.
    """

    requested: tuple[float, float, float]
    achieved: tuple[float, float, float]
    reached: bool


@dataclass(frozen=True)
class Edit:
    """Image (3, H, W) in [-1, 1], latents (1, num_ws, w_dim), and a report on each mark.

    ``held`` is what the image shows outside of regions (see ``Step``).
    """

    image: Tensor
    w_plus: Tensor
    reports: tuple[Report, ...]
    held: tuple[Held, ...] = ()


class Session:
    """One image with its edit history.

    A drag starts from the committed state: ``preview`` shows the result, ``commit`` keeps it, and
    the next drag starts from there. Sessions share only generator and editor.

    Args:
        canvas: The canvas.
        editor: The editor.
        steps: The steps so far; see ``from_sample`` and ``from_image``.
    """

    def __init__(self, canvas: Canvas, editor: Editor, steps: Sequence[Step]) -> None:
        self.canvas, self.editor = canvas, editor
        self._steps = list(steps)
        self._position = len(self._steps) - 1
        self._cached: tuple[Tensor, Tensor, Tensor] | None = None
        self._canvas: tuple[tuple[Held, ...], Canvas] = (), canvas

    @classmethod
    @torch.inference_mode()
    def from_sample(
        cls, canvas: Canvas, editor: Editor, seed: int, truncation: float = 0.7
    ) -> Self:
        """Start from a sample of the generator."""
        details = {"seed": seed, "truncation": truncation}
        return cls(canvas, editor, [Step("sample", details, canvas.sample(seed, truncation))])

    @classmethod
    def from_image(
        cls,
        canvas: Canvas,
        editor: Editor,
        image: Tensor,
        steps: int = 500,
        distance: Distance | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Start from a photo, which is inverted."""
        # Noise maps that fit the photo would stay in place while its content moves
        recipe = replace(default_recipe(steps), noise="stored")

        def report(step: int, losses: Tensor) -> None:
            if progress is not None:
                progress(step, steps)

        device = canvas.generator.mean_latent.device
        found = invert(canvas.generator, image[None].to(device), recipe, distance, progress=report)
        details = {"steps": steps, "mse": float(found.mse)}
        return cls(canvas, editor, [Step("image", details, found.w_plus.detach())])

    @classmethod
    def from_codes(cls, canvas: Canvas, editor: Editor, codes: Tensor) -> Self:
        """Start from latents (num_ws, w_dim), such as those of an inverted photo."""
        G = canvas.generator
        if codes.shape != (G.num_ws, G.w_dim):
            raise EditError(
                f"The generator takes codes of shape ({G.num_ws}, {G.w_dim}), got "
                f"{tuple(codes.shape)}; load the prior that they were made with."
            )
        return cls(canvas, editor, [Step("codes", {}, codes[None].to(G.mean_latent.device))])

    @classmethod
    def load(cls, path: Path, canvas: Canvas, editor: Editor) -> Self:
        """Resume a saved session; it shows the same images."""
        return cls(canvas, editor, read_trajectory(path, canvas))

    def save(self, path: Path) -> None:
        """Write all steps up to the current one as JSON, atomically."""
        write_trajectory(path, self.canvas, self.steps)

    @property
    def steps(self) -> list[Step]:
        """The steps up to the current one."""
        return self._steps[: self._position + 1]

    @property
    def w_plus(self) -> Tensor:
        """Latents (1, num_ws, w_dim) of the current image."""
        return self._step.w_plus

    @property
    def _step(self) -> Step:
        return self._steps[self._position]

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to undo."""
        return self._position > 0

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to redo."""
        return self._position < len(self._steps) - 1

    @torch.inference_mode()
    def image(self) -> Tensor:
        """The current image (3, H, W) in [-1, 1]."""
        return self._canvas_of(self._step.held).draw(self.w_plus)[0]

    @torch.inference_mode()
    def preview(self, marks: Sequence[Mark], region: Tensor | None = None) -> Edit:
        """The edit by marks, at most 64, without committing it.

        Args:
            marks: The marks.
            region: What may change on the canvas (size, size), bool: the rest of the image stays.
                Without a region, the rest of earlier ones moves along.

        Anchors also confine it: what is nearer to them stays (see ``territory``). The editor is
        not told of them, for an edit that spares them in its latents moves less.
        """
        w_plus, held = self.w_plus, self._step.held
        asked = Marks.of(marks, self.canvas.size, w_plus.device)
        moves = any(mark.moves for mark in marks)
        if moves:
            w_plus, held = self._edited(asked, allowed(marks, asked, region, self.canvas.size))
        images, landmarks = self._canvas_of(held).draw_with_landmarks(w_plus)
        achieved = self._achieved(asked, landmarks) if moves else torch.zeros(len(marks), 3)
        pairs = zip(marks, achieved.tolist(), strict=True)
        reports = tuple(self._report(mark, done) for mark, done in pairs)
        return Edit(images[0], w_plus, reports, held)

    def commit(self, marks: Sequence[Mark], region: Tensor | None = None) -> Edit:
        """Edit by marks, in a region if given, and continue from the result (see ``preview``)."""
        edit = self.preview(marks, region)
        details = {
            "marks": [asdict(mark) for mark in marks],
            "reports": [asdict(report) for report in edit.reports],
        }
        self._advance(Step("drag", details, edit.w_plus, edit.held))
        return edit

    @torch.inference_mode()
    def restyle(self, seed: int, truncation: float = 0.7) -> Tensor:
        """Take the style of another sample, which drags keep, and return the image (3, H, W)."""
        first = self.canvas.num_tokens
        other = self.canvas.sample(seed, truncation)

        def restyled(w_plus: Tensor) -> Tensor:
            return torch.cat([w_plus[:, :first], other[:, first:]], dim=1)

        held = tuple(Held(restyled(layer.w_plus), layer.region) for layer in self._step.held)
        details = {"seed": seed, "truncation": truncation}
        self._advance(Step("style", details, restyled(self.w_plus), held))
        return self.image()

    def reset(self) -> None:
        """Go back to the first image; this can be undone."""
        self._advance(Step("reset", {}, self._steps[0].w_plus, self._steps[0].held))

    def undo(self) -> None:
        """Undo the last step."""
        if not self.can_undo:
            raise EditError("There is nothing to undo.")
        self._position -= 1

    def redo(self) -> None:
        """Redo the step undone last."""
        if not self.can_redo:
            raise EditError("There is nothing to redo.")
        self._position += 1

    def _advance(self, step: Step) -> None:
        self._steps = [*self.steps, step]
        self._position += 1

    def _present(self) -> tuple[Tensor, Tensor, Tensor]:
        """Latents, features and landmarks of the current image, computed once."""
        w_plus = self.w_plus
        if self._cached is None or self._cached[0] is not w_plus:
            canvas = self._canvas_of(self._step.held)
            self._cached = (w_plus, canvas.features(w_plus), canvas.landmarks(w_plus))
        return self._cached

    def _edited(self, asked: Marks, region: Tensor | None) -> tuple[Tensor, tuple[Held, ...]]:
        """Latents of the edit, and what it holds."""
        told = asked._replace(points_mask=asked.motions.any(dim=-1))
        start = self._shown_at(told)
        moved = self.editor.edit(start, self._present()[1], *told)
        if not moved.isfinite().all():
            raise EditError("The edit diverged: its latents are NaN or infinite.")
        if region is not None:
            return moved, self._beneath(region)
        change = moved - start
        held = tuple(Held(x.w_plus + change, x.region) for x in self._step.held)
        return (self.w_plus + change if held else moved), held

    def _shown_at(self, told: Marks) -> Tensor:
        """The latents that the image shows at the first mark."""
        if not self._step.held:
            return self.w_plus
        x, y = told.points[told.points_mask][0].round().long().tolist()
        pixel = torch.zeros_like(self._step.held[0].region)
        pixel[y, x] = True
        return self._step.shown_in(pixel)

    def _achieved(self, asked: Marks, landmarks: Tensor) -> Tensor:
        """Motions (K, 3) that marks made, by the features of the image before and after."""
        zooms = bool(asked.motions[..., 2].any())
        follower = Follower(self._present()[2], asked.points, self.canvas.size, zooms)
        found, _ = follower.find(landmarks, torch.zeros_like(asked.motions), asked.motions)
        return found[0].cpu()

    def _beneath(self, region: Tensor) -> tuple[Held, ...]:
        """What an edit in a region holds: what the last one held, if it had the same region."""
        held, known = self._step.held, self._canvas[0]
        if held and torch.equal(held[-1].region, region):
            return held
        beneath = (*held, Held(self.w_plus, region))
        return known if same_layers(known, beneath) else beneath

    def _canvas_of(self, held: tuple[Held, ...]) -> Canvas:
        """The canvas of layers; the last one is kept, for previews use it again and again."""
        if self._canvas[0] is not held:
            self._canvas = held, held_canvas(self.canvas, held)
        return self._canvas[1]

    def _report(self, mark: Mark, achieved: list[float]) -> Report:
        requested = (mark.dx, mark.dy, mark.log_expansion) if mark.moves else (0.0, 0.0, 0.0)
        dx, dy, expansion = (a - b for a, b in zip(achieved, requested, strict=True))
        reached = dx**2 + dy**2 <= self.canvas.tolerance**2 and abs(expansion) <= ZOOM_TOLERANCE
        return Report(requested, (achieved[0], achieved[1], achieved[2]), reached)


def same_layers(a: Sequence[Held], b: Sequence[Held]) -> bool:
    """Whether layers have the same latents and regions."""
    return len(a) == len(b) and all(
        x.w_plus is y.w_plus and torch.equal(x.region, y.region) for x, y in zip(a, b, strict=True)
    )
