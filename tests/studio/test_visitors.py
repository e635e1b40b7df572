import secrets

import pytest

from semsynth.studio.models import Models
from semsynth.studio.visitors import FullError, Visitors


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def key() -> str:
    return secrets.token_urlsafe(32)


def test_a_visitor_is_known_again(models: Models) -> None:
    visitors, name = Visitors(models), key()
    assert visitors.enter(name) is visitors.enter(name)
    assert visitors.enter(key()) is not visitors.enter(name)


@pytest.mark.parametrize("name", ["", "short", "../" + "a" * 40, "a" * 44])
def test_what_is_no_key_opens_nothing(models: Models, name: str) -> None:
    with pytest.raises(KeyError):
        Visitors(models).enter(name)


def test_who_is_away_for_too_long_is_forgotten(models: Models) -> None:
    clock = Clock()
    visitors, name, other = Visitors(models, idle=60, clock=clock), key(), key()
    first = visitors.enter(name)
    visitors.enter(other).sockets = 1
    clock.now = 61
    assert visitors.enter(name) is not first
    assert len(visitors) == 2  # the other one has a page open


def test_the_one_who_is_away_longest_makes_room(models: Models) -> None:
    clock = Clock()
    visitors, keys = Visitors(models, most=2, clock=clock), [key(), key(), key()]
    entered = []
    for clock.now, name in zip((0, 100, 650), keys, strict=True):
        entered.append(visitors.enter(name))
    assert len(visitors) == 2
    assert visitors.enter(keys[1]) is entered[1]


def test_nobody_is_sent_away_from_an_open_page(models: Models) -> None:
    visitors = Visitors(models, most=1)
    visitors.enter(key()).sockets = 1
    with pytest.raises(FullError, match="full"):
        visitors.enter(key())


def test_forty_strangers_do_not_evict_who_was_here_within_ten_minutes(models: Models) -> None:
    clock = Clock()
    visitors, name = Visitors(models, most=32, clock=clock), key()
    visitor = visitors.enter(name)
    clock.now = 599
    turned_away = 0
    for _ in range(40):
        try:
            visitors.enter(key())
        except FullError:
            turned_away += 1
    assert turned_away == 9
    assert visitors.enter(name) is visitor
