"""What a person makes is never lost: reload, second window, dropped connection, new server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from semsynth.studio.models import Models
from tests.studio.conftest import serve
from tests.studio.screen import choose, label_map, pixels, reload, settle, shot, stroke

Visit = Callable[[str], Any]
OVERLAY, IMAGE = "#drag-overlay", "#drag-image"
NOSE = (32, 32)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inversions of some seconds."""
    monkeypatch.setattr("semsynth.studio.drag.INVERSION_STEPS", 60)


def drag_nose(page: Any, by: float = 8) -> None:
    stroke(page, OVERLAY, [NOSE, (NOSE[0] + by, NOSE[1])])
    settle(page)


def undo(page: Any, times: int = 1) -> None:
    for _ in range(times):
        page.keyboard.press("Control+z")
        settle(page)


def start_inversion(page: Any, directory: Path) -> None:
    Image.fromarray(pixels(page, IMAGE).astype(np.uint8)).save(directory / "me.png")
    choose(page, "[data-act=photo]", directory / "me.png")
    page.get_by_text("Inverting the photo").wait_for()


def test_map_marks_and_history_survive_a_reload(visit: Visit) -> None:
    page = visit("paint")
    first = label_map(page)
    stroke(page, "#paint-board", [(5, 5), (20, 30)])
    page.locator("#paint [data-act=sample]").click()
    settle(page)
    painted, image = label_map(page), shot(page, "paint", 1)
    page.locator("#tab-drag").click()
    settle(page)
    untouched = pixels(page, IMAGE)
    drag_nose(page)
    dragged = pixels(page, IMAGE)
    page.keyboard.press("a")
    stroke(page, OVERLAY, [(20, 50), (20, 50)])
    reload(page)
    assert (pixels(page, IMAGE) == dragged).all()
    assert "Anchor at 20, 50" in page.locator("#drag-marks").inner_text()
    undo(page, 2)
    assert (pixels(page, IMAGE) == untouched).all()
    assert "None yet" in page.locator("#drag-marks").inner_text()
    page.locator("#tab-paint").click()
    settle(page)
    assert (label_map(page) == painted).all()
    assert (shot(page, "paint", 1) == image).all()
    undo(page, 2)
    assert (label_map(page) == first).all()


def test_undo_covers_new_images_examples_counts_and_clearing(visit: Visit) -> None:
    page = visit("paint")
    first, image = label_map(page), shot(page, "paint", 3)
    page.locator("#paint [data-act=example]").click()
    settle(page)
    page.locator("#paint-count").select_option("2")
    settle(page)
    page.locator("#paint [data-act=sample]").click()
    settle(page)
    assert page.locator("#paint-gallery .shot").count() == 2
    undo(page, 3)
    assert (label_map(page) == first).all()
    assert (shot(page, "paint", 3) == image).all()
    page.locator("#tab-drag").click()
    settle(page)
    before = pixels(page, IMAGE)
    for _ in range(2):
        page.locator("#drag [data-act=sample]").click()
        settle(page)
    assert np.abs(pixels(page, IMAGE) - before).mean() > 5
    undo(page, 2)
    assert (pixels(page, IMAGE) == before).all()
    page.locator("#tab-scribble").click()
    settle(page)
    before = shot(page, "scribble", 0)
    page.locator("[data-clear]").click()
    page.get_by_text("Choose a class and draw a stroke").wait_for()
    page.locator("[data-mode=annotate]").click()
    page.locator("[data-mode=draw]").click()
    undo(page)
    assert (shot(page, "scribble", 0) == before).all()


def test_a_hundred_strokes_are_undone(visit: Visit) -> None:
    page = visit("paint")
    first = label_map(page)
    page.locator("#paint-board").focus()
    page.keyboard.press(".")
    for _ in range(100):
        page.keyboard.press("Space")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
    assert (label_map(page) != first).any()
    for _ in range(100):
        page.keyboard.press("Control+z")
    settle(page)
    assert (label_map(page) == first).all()
    assert page.locator("#paint [data-undo]").is_disabled()


def test_an_inversion_is_shown_again_after_a_reload_and_can_be_stopped(
    visit: Visit, tmp_path: Path, slow: None
) -> None:
    page = visit("drag")
    start_inversion(page, tmp_path)
    page.reload()
    page.get_by_text("Inverting the photo").wait_for()
    page.get_by_text("from your photo").wait_for(timeout=60_000)
    settle(page)
    start_inversion(page, tmp_path)
    page.reload()
    page.get_by_text("Inverting the photo").wait_for()
    page.locator("#drag-job [data-act=stop]").click()
    page.locator("#drag-job").wait_for(state="hidden")
    reload(page)
    assert page.locator("#drag-job").is_hidden()


def test_a_job_asks_before_it_replaces_what_was_made_meanwhile(
    visit: Visit, tmp_path: Path, slow: None
) -> None:
    page = visit("drag")
    start_inversion(page, tmp_path)
    page.locator("#drag [data-act=sample]").click()
    page.get_by_text("you have gone on meanwhile").wait_for(timeout=60_000)
    settle(page)
    made = pixels(page, IMAGE)
    assert "from sample" in page.locator("#drag-history").inner_text()
    reload(page)
    page.get_by_text("you have gone on meanwhile").wait_for()
    assert (pixels(page, IMAGE) == made).all()
    page.locator("#drag-job [data-act=show]").click()
    page.get_by_text("from your photo").wait_for()
    settle(page)
    undo(page)
    assert (pixels(page, IMAGE) == made).all()


def test_a_second_window_has_its_own_session_and_may_continue_the_first(visit: Visit) -> None:
    page = visit("paint")
    first = label_map(page)
    stroke(page, "#paint-board", [(5, 5), (20, 30)])
    settle(page)
    painted = label_map(page)
    other = page.context.new_page()
    other.goto(page.url)
    other.wait_for_selector("body[data-ready='1']")
    settle(other)
    assert (label_map(other) == first).all()
    other.locator("#offer-continue").click()
    other.locator("#offer").wait_for(state="hidden")
    other.wait_for_selector("body[data-ready='1']")
    settle(other)
    assert (label_map(other) == painted).all()
    undo(other)
    assert (label_map(other) == first).all()
    stroke(other, "#paint-board", [(50, 5), (50, 30)])
    settle(other)
    reload(page)
    assert (label_map(page) == painted).all()


def test_a_duplicated_window_goes_on_with_a_copy(visit: Visit) -> None:
    page = visit("paint")
    stroke(page, "#paint-board", [(5, 5), (20, 30)])
    settle(page)
    painted = label_map(page)
    with page.expect_popup() as opened:
        page.evaluate("window.open(location.href)")  # its session storage is a copy
    other = opened.value
    other.wait_for_timeout(500)  # it notices, and loads the copy
    other.wait_for_selector("body[data-ready='1']")
    names = [window.evaluate("sessionStorage.window") for window in (page, other)]
    assert names[0] != names[1]
    settle(other)
    assert (label_map(other) == painted).all()
    undo(other)
    assert (label_map(page) == painted).all()


def test_work_goes_on_with_a_server_that_was_started_again(
    browser: Any, models: Models, tmp_path: Path, slow: None
) -> None:
    context = browser.new_context(viewport={"width": 1360, "height": 900})
    page = context.new_page()
    with serve(models) as address:
        page.goto(f"{address}#/drag")
        page.wait_for_selector("body[data-ready='1']")
        settle(page)
        before = pixels(page, IMAGE)
        drag_nose(page)
        dragged = pixels(page, IMAGE)
        page.locator("#tab-paint").click()
        settle(page)
        page.locator("#paint [data-act=example-reference]").click()
        settle(page)
        page.locator("#paint [data-act=take-style]").click()
        settle(page)
        image = shot(page, "paint", 0)
        page.locator("#tab-drag").click()
        start_inversion(page, tmp_path)
    page.get_by_text("your work is kept in this browser").wait_for()
    with serve(models, urlsplit(address).port or 0):
        page.wait_for_selector("body[data-ready='1']")
        page.get_by_text("Inverting the photo").wait_for()  # it begins again
        page.locator("#drag-job [data-act=stop]").click()
        settle(page)
        assert (pixels(page, IMAGE) == dragged).all()
        drag_nose(page, -8)
        undo(page, 2)
        assert (pixels(page, IMAGE) == before).all()
        page.locator("#tab-paint").click()
        page.locator("#paint-board").focus()
        page.keyboard.press("Space")
        settle(page)
        undo(page)
        assert (shot(page, "paint", 0) == image).all()
    context.close()
