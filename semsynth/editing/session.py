"""A session of edits: the state of a page or script while a user drags."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from semsynth.editing.canvas import Canvas, Editor
from semsynth.editing.trajectory import Step, read_trajectory, write_trajectory
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
    """Image (3, H, W) in [-1, 1], latents (1, num_ws, w_dim), and a report on each mark."""

    image: Tensor
    w_plus: Tensor
    reports: tuple[Report, ...]


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
        return self._steps[self._position].w_plus

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
        return self.canvas.draw(self.w_plus)[0]

    @torch.inference_mode()
    def preview(self, marks: Sequence[Mark]) -> Edit:
        """The edit by marks, at most 64, without committing it."""
        w_plus, features, landmarks = self._present()
        asked = Marks.of(marks, self.canvas.size, w_plus.device)
        moves = any(mark.moves for mark in marks)
        if moves:
            w_plus = self.editor.edit(w_plus, features, *asked)
            if not w_plus.isfinite().all():
                raise EditError("The edit diverged: its latents are NaN or infinite.")
        images, moved = self.canvas.draw_with_landmarks(w_plus)
        achieved = torch.zeros(len(marks), 3)
        if moves:
            zooms = bool(asked.motions[..., 2].any())
            follower = Follower(landmarks, asked.points, self.canvas.size, zooms)
            start = torch.zeros_like(asked.motions)
            found, _ = follower.find(moved, start, asked.motions)
            achieved = found[0].cpu()
        pairs = zip(marks, achieved.tolist(), strict=True)
        return Edit(images[0], w_plus, tuple(self._report(mark, done) for mark, done in pairs))

    def commit(self, marks: Sequence[Mark]) -> Edit:
        """Edit by marks, and continue from the result."""
        edit = self.preview(marks)
        details = {
            "marks": [asdict(mark) for mark in marks],
            "reports": [asdict(report) for report in edit.reports],
        }
        self._advance(Step("drag", details, edit.w_plus))
        return edit

    @torch.inference_mode()
    def restyle(self, seed: int, truncation: float = 0.7) -> Tensor:
        """Take the style of another sample, which drags keep, and return the image (3, H, W)."""
        first = self.canvas.num_tokens
        other = self.canvas.sample(seed, truncation)
        w_plus = torch.cat([self.w_plus[:, :first], other[:, first:]], dim=1)
        self._advance(Step("style", {"seed": seed, "truncation": truncation}, w_plus))
        return self.image()

    def reset(self) -> None:
        """Go back to the first image; this can be undone."""
        self._advance(Step("reset", {}, self._steps[0].w_plus))

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
            self._cached = (w_plus, self.canvas.features(w_plus), self.canvas.landmarks(w_plus))
        return self._cached

    def _report(self, mark: Mark, achieved: list[float]) -> Report:
        requested = (mark.dx, mark.dy, mark.log_expansion) if mark.moves else (0.0, 0.0, 0.0)
        dx, dy, expansion = (a - b for a, b in zip(achieved, requested, strict=True))
        reached = dx**2 + dy**2 <= self.canvas.tolerance**2 and abs(expansion) <= ZOOM_TOLERANCE
        return Report(requested, (achieved[0], achieved[1], achieved[2]), reached)
