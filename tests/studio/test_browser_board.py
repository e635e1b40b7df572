from collections.abc import Callable
from typing import Any

import numpy as np

from tests.studio.screen import label_map, on_screen, settle, shot, stroke

Visit = Callable[[str], Any]
BOARD = "#paint-board"
ROAD, CAR, PERSON = 3, 5, 6


def choose_class(page: Any, name: str) -> None:
    page.locator("#paint-palette").get_by_role("radio", name=name, exact=True).click()


def click(page: Any, *places: tuple[float, float], **options: Any) -> None:
    for place in places:
        page.mouse.click(*on_screen(page, BOARD, place), **options)


def test_lines_rectangles_polygons_and_fills_are_exact(visit: Visit) -> None:
    page = visit("paint")
    choose_class(page, "car")
    page.keyboard.press("q")
    stroke(page, BOARD, [(10, 40), (30, 20), (50, 60)])  # only where it ends matters
    expected = label_map(page).copy()
    expected[40:61, 10:51] = CAR
    settle(page)
    assert (label_map(page) == expected).all()
    page.fill("#paint [data-size][type=number]", "1")
    page.keyboard.press("Tab")
    page.locator(BOARD).focus()
    choose_class(page, "person")
    page.keyboard.press("l")
    stroke(page, BOARD, [(12, 42), (32, 42), (12, 55)])
    expected[42:56, 12] = PERSON
    page.keyboard.press("g")
    click(page, (20, 45), (40, 45), (40, 55), (20, 55))
    page.keyboard.press("Enter")
    expected[45:56, 20:41] = PERSON
    choose_class(page, "road")
    page.keyboard.press("f")
    click(page, (30, 50))
    expected[45:56, 20:41] = ROAD
    settle(page)
    assert (label_map(page) == expected).all()
    page.keyboard.press("g")
    click(page, (2, 2), (9, 2), (9, 9))
    page.keyboard.press("Escape")
    settle(page)
    assert (label_map(page) == expected).all()


def test_the_size_is_a_number_and_changes_by_keys_and_a_class_is_picked(visit: Visit) -> None:
    page = visit("paint")
    choose_class(page, "car")
    page.fill("#paint [data-size][type=number]", "9")
    page.keyboard.press("Tab")
    page.keyboard.press("]")
    page.keyboard.press("]")
    assert page.input_value("#paint [data-size][type=range]") == "11"
    before = label_map(page)
    click(page, (32, 32))
    settle(page)
    painted = np.argwhere((label_map(page) != before)[:, 32])
    assert (painted.min(), painted.max()) == (32 - 5, 32 + 5)
    choose_class(page, "sky")
    page.keyboard.press("i")
    click(page, (32, 32))
    assert page.locator("#paint-palette [aria-checked=true]").inner_text() == "car"
    assert page.locator("#paint [data-tool=brush]").get_attribute("aria-pressed") == "true"


def test_mirrored_strokes_are_painted_on_both_sides(visit: Visit) -> None:
    page = visit("paint")
    choose_class(page, "person")
    page.keyboard.press("x")
    before = label_map(page)
    stroke(page, BOARD, [(5, 10), (12, 18)])
    settle(page)
    changed = label_map(page) != before
    assert (label_map(page)[changed] == PERSON).all()
    assert changed[:, :32].sum() > 20
    assert ((label_map(page) == PERSON) == (label_map(page) == PERSON)[:, ::-1])[:25].all()


def test_the_map_is_zoomed_at_the_pointer_moved_and_painted_there(visit: Visit) -> None:
    page = visit("paint")
    choose_class(page, "car")
    page.fill("#paint [data-size][type=number]", "1")
    page.keyboard.press("Tab")
    page.mouse.move(*on_screen(page, BOARD, (16, 16)))
    for _ in range(6):
        page.mouse.wheel(0, -100)
    zoom = 1.25**6
    assert page.locator("#paint [data-zoom=fit]").inner_text() == f"{100 * zoom:.0f} %"
    click(page, (16, 16))
    page.keyboard.press("h")
    stroke(page, BOARD, [(40, 40), (40 - 10 * zoom / 2, 40)])  # 5 pixels of the map
    page.keyboard.press("b")
    click(page, (16, 16))
    page.keyboard.press("0")
    settle(page)
    assert sorted(map(tuple, np.argwhere(label_map(page)[:30, :40] == CAR))) == [(16, 16), (16, 21)]
    click(page, (40, 3))
    settle(page)
    assert label_map(page)[3, 40] == CAR


def test_a_class_is_restyled_and_taken_from_the_reference_by_keys(visit: Visit) -> None:
    page = visit("paint")
    sky = label_map(page) == 0
    before = [shot(page, "paint", i) for i in range(2)]
    page.locator("#paint-gallery .frame").first.focus()
    page.keyboard.press("ArrowRight")
    page.get_by_text("Enter for a new sky.").wait_for()
    page.keyboard.press("Enter")
    settle(page)
    change = np.abs(shot(page, "paint", 0) - before[0]).mean(2)
    assert change[sky].mean() > 3
    assert change[~sky].max() == 0
    assert (shot(page, "paint", 1) == before[1]).all()
    page.locator("[data-act=example-reference]").click()
    settle(page)
    before[0] = shot(page, "paint", 0)
    page.locator("#paint-reference").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_text("Applied the style of the reference's sky.").wait_for()
    settle(page)
    change = np.abs(shot(page, "paint", 0) - before[0]).mean(2)
    assert change[sky].mean() > 2 * change[~sky].mean()
