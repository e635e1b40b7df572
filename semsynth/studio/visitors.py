"""Visitors: what the server keeps for each, with limits on number and idle time."""

import re
import time
from collections.abc import Callable
from typing import TypeVar

from semsynth.studio.answers import Answer, TabError
from semsynth.studio.drag import DragTab
from semsynth.studio.jobs import Jobs
from semsynth.studio.models import Models
from semsynth.studio.paint import PaintTab
from semsynth.studio.scribble import ScribbleTab
from semsynth.studio.store import Store

KEY = re.compile(r"[A-Za-z0-9_-]{43}")  # of secrets.token_urlsafe
T = TypeVar("T")
RECENT = 600.0  # seconds for which an absent visitor keeps the place


class FullError(Exception):
    """The limit of visitors is reached."""


class Visitor:
    """One visitor; all that is here can be made again from what the pages keep.

    Attributes:
        models: The models, shared by all.
        last_seen: Time of the last message.
        sockets: Number of open pages.
    """

    def __init__(self, models: Models, last_seen: float = 0.0) -> None:
        self.models, self.last_seen = models, last_seen
        self.sockets = 0
        self.store, self.jobs = Store(), Jobs()
        self.paint = {m.about.identity: PaintTab(m, self.store) for m in models.paint}
        self.scribble = {m.about.identity: ScribbleTab(m, self.store) for m in models.scribble}
        self.drag = {m.about.identity: DragTab(m, self.store) for m in models.drag}

    def info(self) -> Answer:
        """Properties of the models of each tab, and the tab to begin with."""
        return Answer(
            {
                "paint": [tab.info() for tab in self.paint.values()],
                "scribble": [tab.info() for tab in self.scribble.values()],
                "drag": [tab.info() for tab in self.drag.values()],
                "first": self.models.first,
            }
        )


def chosen(tabs: dict[str, T], model: str) -> T:
    """The tab of the model with this identity, by default the first."""
    if not model:
        return next(iter(tabs.values()))
    if model not in tabs:
        raise TabError("The studio no longer has this model; reload the page.")
    return tabs[model]


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
        """The visitor with this key, created if new.

        Raises:
            KeyError: It is no key.
            FullError: All places are taken.
        """
        if not KEY.fullmatch(key):
            raise KeyError(key)
        now = self.clock()
        self._forget(now)
        if key not in self._visitors:
            self._make_room(now)
            self._visitors[key] = Visitor(self.models)
        visitor = self._visitors[key]
        visitor.last_seen = now
        return visitor

    def stop_jobs(self) -> None:
        """Stop the jobs of all."""
        for visitor in self._visitors.values():
            visitor.jobs.stop_all()

    def _forget(self, now: float) -> None:
        for key, visitor in list(self._visitors.items()):
            if not visitor.sockets and now - visitor.last_seen > self.idle:
                del self._visitors[key]

    def _make_room(self, now: float) -> None:
        """Remove the visitor who has been away longest, though nobody who was here recently."""
        if len(self._visitors) < self.most:
            return
        away = {
            key: visitor.last_seen
            for key, visitor in self._visitors.items()
            if not visitor.sockets and now - visitor.last_seen > RECENT
        }
        if not away:
            raise FullError("The studio is full; try again later.")
        del self._visitors[min(away, key=lambda key: away[key])]
