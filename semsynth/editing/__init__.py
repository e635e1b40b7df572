"""Editing images by marks: sessions, editors with feedback, and films."""

from semsynth.editing.canvas import Canvas, Editor
from semsynth.editing.closed_loop import ClosedLoop
from semsynth.editing.drag_optimisation import DragOptimisation
from semsynth.editing.film import frames_of, save_frames, save_gif, save_mp4
from semsynth.editing.session import Edit, Report, Session
from semsynth.editing.trajectory import Step
from semsynth.networks.motion.marks import EditError, Mark

__all__ = [
    "Canvas",
    "ClosedLoop",
    "DragOptimisation",
    "Edit",
    "EditError",
    "Editor",
    "Mark",
    "Report",
    "Session",
    "Step",
    "frames_of",
    "save_frames",
    "save_gif",
    "save_mp4",
]
