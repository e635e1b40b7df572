"""Edits with feedback: measure where the points went, and correct."""

import torch
from torch import Tensor

from semsynth.editing.canvas import Canvas, Editor
from semsynth.networks.motion.feature_tracking import RING_RADIUS, Follower


class ClosedLoop:
    """Corrects an editor: edit, track the points, add the remaining error to the request, repeat.

    Points are tracked by the generator's features. Each round edits the original image, because
    edits of edits leave the distribution that the editor knows. Anchors stay exactly 0, as they are
    often where tracking fails. An image whose error did not fall keeps its previous edit. The last
    edit is not measured, which saves a fifth of the time.

    Tracking is inexact: many rounds reduce the measured error rather than the true one.

    Args:
        editor: The editor.
        canvas: Its canvas.
        rounds: Maximum number of edits.
        gain: Fraction of the remaining error that is added to the request.
        accuracy: Error, as a fraction of ``canvas.tolerance``, at which to stop.
    """

    def __init__(
        self,
        editor: Editor,
        canvas: Canvas,
        rounds: int = 2,
        gain: float = 0.7,
        accuracy: float = 0.25,
    ) -> None:
        if rounds < 1:
            raise ValueError(f"rounds must be at least 1, got {rounds}.")
        self.editor, self.canvas = editor, canvas
        self.rounds, self.gain, self.accuracy = rounds, gain, accuracy

    @torch.no_grad()
    def edit(
        self, w_plus: Tensor, features: Tensor, points: Tensor, motions: Tensor, points_mask: Tensor
    ) -> Tensor:
        """Move content, in rounds (see ``Editor.edit``)."""
        zooms = bool(motions[..., 2].any())
        follower = Follower(self.canvas.landmarks(w_plus), points, self.canvas.size, zooms)
        request, still = motions, torch.zeros_like(motions)
        moves = points_mask & motions.any(dim=-1)
        least = self._error(motions, moves)
        best = moved = self.editor.edit(w_plus, features, points, request, points_mask)
        for _ in range(self.rounds - 1):
            done, _ = follower.find(self.canvas.landmarks(moved), still, motions)
            error = self._error(motions - done, moves)
            nearer = error < least
            best = torch.where(nearer[:, None, None], moved, best)
            least = torch.where(nearer, error, least)
            goes_on = nearer & (error > self.accuracy * self.canvas.tolerance)
            if not goes_on.any():
                return best
            request = request + self.gain * (motions - done) * moves[..., None]
            again = self.editor.edit(w_plus, features, points, request, points_mask)
            moved = torch.where(goes_on[:, None, None], again, best)
        return moved

    def _error(self, missing: Tensor, moves: Tensor) -> Tensor:
        """Mean distance (B,) in pixels; a log expansion counts as its motion on the ring."""
        on_ring = missing[..., 2].abs() * RING_RADIUS * self.canvas.size
        distance = missing[..., :2].norm(dim=-1) + on_ring
        return (distance * moves).sum(dim=1) / moves.sum(dim=1).clamp(min=1)
