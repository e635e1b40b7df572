"""Visitors: the state of each, with limits on number and idle time."""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor

from semsynth.studio.drag import DragTab
from semsynth.studio.models import Models
from semsynth.studio.paint import PaintTab
from semsynth.studio.scribble import ScribbleTab

KEY = re.compile(r"[A-Za-z0-9_-]{43}")  # of secrets.token_urlsafe
MAX_UPLOADS = 4  # kept per visitor
LONG = {"drag.photo", "scribble.refine", "annotate.train"}  # messages whose work takes seconds
# Of these only the newest matters
NEWEST = {"drag.preview", "paint.draw", "scribble.draw", "annotate.notes"}


class FullError(Exception):
    """The limit of visitors is reached."""


@dataclass(eq=False)
class Visitor:
    """One visitor.

    Attributes:
        key: Value of the cookie.
        models: The models, shared by all.
        last_seen: Time of the last message.
        sockets: Number of open pages.
        stopped: Set to stop the long job.
    """

    key: str
    models: Models
    last_seen: float = 0.0
    sockets: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.uploads: dict[int, Tensor] = {}  # the last ones, by number
        self._next_upload = 0

    @cached_property
    def paint(self) -> PaintTab:
        """The Paint tab; it and the others are made in the worker's thread."""
        return PaintTab(self.models.paint)

    @cached_property
    def scribble(self) -> ScribbleTab:
        """The Scribble tab."""
        return ScribbleTab(self.models.scribble)

    @cached_property
    def drag(self) -> DragTab:
        """The Drag tab."""
        return DragTab(self.models.drag)

    def keep(self, upload: Tensor) -> int:
        """Keep an uploaded photo or label map, and return its number."""
        self._next_upload += 1
        self.uploads[self._next_upload] = upload
        for number in sorted(self.uploads)[:-MAX_UPLOADS]:
            del self.uploads[number]
        return self._next_upload


class Visitors:
    """All visitors, by the keys in their cookies.

    Args:
        models: The models.
        most: Maximum number of visitors.
        idle: Seconds after which a visitor without an open page is removed.
        clock: Returns the time in seconds.
    """

    def __init__(
        self,
        models: Models,
        most: int = 32,
        idle: float = 1800.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.models, self.most, self.idle, self.clock = models, most, idle, clock
        self._visitors: dict[str, Visitor] = {}

    def __len__(self) -> int:
        return len(self._visitors)

    def enter(self, key: str) -> Visitor:
        """The visitor with this key, created if new."""
        if not KEY.fullmatch(key):
            raise KeyError(key)
        now = self.clock()
        self._forget(now)
        if key not in self._visitors:
            self._make_room()
            self._visitors[key] = Visitor(key, self.models)
        visitor = self._visitors[key]
        visitor.last_seen = now
        return visitor

    def _forget(self, now: float) -> None:
        for key, visitor in list(self._visitors.items()):
            if not visitor.sockets and now - visitor.last_seen > self.idle:
                del self._visitors[key]

    def _make_room(self) -> None:
        """Remove the visitor who has been idle longest."""
        if len(self._visitors) < self.most:
            return
        away = [visitor for visitor in self._visitors.values() if not visitor.sockets]
        if not away:
            raise FullError("The studio is full; try again later.")
        del self._visitors[min(away, key=lambda visitor: visitor.last_seen).key]
