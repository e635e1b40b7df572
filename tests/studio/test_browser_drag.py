from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.studio.screen import choose, download, moved, on_screen, pixels, reload, settle, stroke

Visit = Callable[[str], Any]
OVERLAY, IMAGE = "#drag-overlay", "#drag-image"
NOSE, BELOW = (32, 32), (32, 60)


def drag_nose(page: Any, by: float = 8) -> None:
    x, y = NOSE
    stroke(page, OVERLAY, [NOSE, (x + by, y)], steps=12)
    settle(page)


def test_a_dragged_part_follows_and_what_is_anchored_moves_less_than_without(visit: Visit) -> None:
    page = visit("drag")
    before = pixels(page, IMAGE)
    place = (BELOW[0], 58)
    drag_nose(page)
    free = np.hypot(*moved(before, pixels(page, IMAGE), place))
    page.keyboard.press("Home")
    settle(page)
    page.mouse.click(*on_screen(page, OVERLAY, BELOW), button="right")
    drag_nose(page)
    after = pixels(page, IMAGE)
    right, down = moved(before, after, NOSE)
    assert 3 <= right <= 13
    assert abs(down) <= 4
    assert np.hypot(*moved(before, after, place)) < free
    rows = page.locator("#drag-marks li").all_inner_texts()
    assert len(rows) == 2
    assert any("reached" in row or "short" in row for row in rows)


def test_the_image_follows_during_the_drag_and_frames_are_in_order(visit: Visit) -> None:
    page = visit("drag")
    before = pixels(page, IMAGE)
    page.mouse.move(*on_screen(page, OVERLAY, NOSE))
    page.mouse.down()
    for step in range(30):
        page.mouse.move(*on_screen(page, OVERLAY, (NOSE[0] + 0.3 * step, NOSE[1])))
    settle(page)
    assert np.abs(pixels(page, IMAGE) - before).mean() > 3  # the button is still down
    frames = page.evaluate("window.studio.frames")
    assert len(frames) > 3
    assert frames == sorted(set(frames))
    page.mouse.up()


def test_undo_redo_and_the_first_image_which_is_shown_beside(visit: Visit) -> None:
    page = visit("drag")
    before = pixels(page, IMAGE)
    drag_nose(page)
    after = pixels(page, IMAGE)
    for key, expected in (("Control+z", before), ("Control+Shift+z", after), ("Home", before)):
        page.keyboard.press(key)
        settle(page)
        assert (pixels(page, IMAGE) == expected).all()
    page.keyboard.press("Control+z")
    settle(page)
    page.keyboard.press("c")
    assert page.locator("#drag-before").is_visible()
    assert (pixels(page, "#drag-before") == before).all()


def test_several_points_act_together_when_they_are_applied(visit: Visit) -> None:
    page = visit("drag")
    before = pixels(page, IMAGE)
    page.check("#drag-several")
    stroke(page, OVERLAY, [(20, 30), (26, 30)])
    stroke(page, OVERLAY, [(44, 30), (50, 30)])
    settle(page)
    assert "No edits yet" in page.locator("#drag-history").inner_text()
    page.keyboard.press("Enter")
    settle(page)
    assert len(page.locator("#drag-marks li").all()) == 2
    assert np.abs(pixels(page, IMAGE) - before).mean() > 2


def test_the_wheel_zooms_and_the_style_changes(visit: Visit) -> None:
    page = visit("drag")
    before = pixels(page, IMAGE)
    page.mouse.move(*on_screen(page, OVERLAY, NOSE))
    for _ in range(4):
        page.mouse.wheel(0, -100)
    page.wait_for_timeout(500)
    settle(page)
    zoomed = pixels(page, IMAGE)
    assert np.abs(zoomed - before).mean() > 1
    assert "zoom" in page.locator("#drag-marks").inner_text()
    page.keyboard.press("s")
    settle(page)
    assert np.abs(pixels(page, IMAGE) - zoomed).mean() > 5


def test_image_film_and_history_are_exported(visit: Visit) -> None:
    page = visit("drag")
    drag_nose(page)
    for kind in ("png", "gif", "json"):
        path = Path(download(page, f"#drag a[href$='edit.{kind}']").path())
        assert path.stat().st_size > 1000
        if kind == "png":
            with Image.open(path) as exported:
                assert (np.asarray(exported).astype(int) == pixels(page, IMAGE)).all()


def test_a_photo_is_uploaded_and_found_in_the_generator(
    visit: Visit, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("semsynth.studio.drag.INVERSION_STEPS", 40)
    page = visit("drag")
    Image.fromarray(pixels(page, IMAGE).astype(np.uint8)).save(tmp_path / "me.jpg", quality=95)
    choose(page, "[data-act=photo]", tmp_path / "me.jpg")
    page.get_by_text("Inverting the photo").wait_for()
    page.get_by_text("from your photo").wait_for(timeout=60_000)
    settle(page)
    drag_nose(page)
    assert "1 step, from your photo" in page.locator("#drag-history").inner_text()


def test_the_65th_mark_is_refused_and_the_others_stay(visit: Visit) -> None:
    page = visit("drag")
    for i in range(65):
        place = on_screen(page, OVERLAY, (4 + 7 * (i % 8), 4 + 7 * (i // 8)))
        page.mouse.click(*place, button="right")
    page.get_by_text("There are 64 marks, which is the most").wait_for()
    assert page.locator("#drag-marks li").count() == 64
    assert page.locator("#drag-note").inner_text().startswith("64 points are anchored")
    page.get_by_role("button", name="Remove anchors").click()
    assert page.locator("#drag-note").is_hidden()
    drag_nose(page, 4)
    assert "1 step" in page.locator("#drag-history").inner_text()


def test_a_drag_stops_where_an_edit_reaches(visit: Visit) -> None:
    page = visit("drag")
    page.check("#drag-several")
    stroke(page, OVERLAY, [NOSE, (NOSE[0] + 30, NOSE[1])])
    ((row,),) = [page.locator("#drag-marks li").all_inner_texts()]
    length = float(row.split(",")[0])
    assert 6 < length < 8  # three root mean squares of the motion in training, over the gain
    page.mouse.move(*on_screen(page, OVERLAY, (20, 20)))
    page.mouse.down()
    page.mouse.move(*on_screen(page, OVERLAY, (60, 60)), steps=3)
    page.get_by_text("One drag reaches this far").wait_for()
    ring = on_screen(page, OVERLAY, (20 - length, 20))
    box = page.locator(OVERLAY).bounding_box()
    shown = pixels(page, OVERLAY)
    scale = shown.shape[1] / box["width"]
    x, y = round((ring[0] - box["x"]) * scale), round((ring[1] - box["y"]) * scale)
    assert shown[y - 8 : y + 9, x - 2 : x + 3].max() > 200  # dashes, white
    page.mouse.up()
    page.keyboard.press("Enter")
    settle(page)
    assert "1 step" in page.locator("#drag-history").inner_text()


def test_what_is_outside_of_the_painted_region_stays(visit: Visit) -> None:
    page = visit("drag")
    before = pixels(page, IMAGE)
    page.keyboard.press("r")
    page.fill("#drag-brush [type=number]", "32")
    page.keyboard.press("Tab")
    stroke(page, OVERLAY, [(48, 1), (48, 62)])  # the right half
    settle(page)
    page.get_by_text("Only the painted region moves").wait_for()
    page.keyboard.press("d")
    stroke(page, OVERLAY, [(16, 32), (20, 32)])  # outside: refused on the page
    page.get_by_text("Only the painted region may move").wait_for()
    assert (pixels(page, IMAGE) == before).all()
    stroke(page, OVERLAY, [(44, 30), (50, 30)])
    settle(page)
    change = np.abs(pixels(page, IMAGE) - before).mean(2)
    assert change[:, 36:].mean() > 8 * change[:, :28].mean()
    after = pixels(page, IMAGE)
    reload(page)
    assert (pixels(page, IMAGE) == after).all()
    for _ in range(2):  # the drag, then the region
        page.keyboard.press("Control+z")
        settle(page)
    assert (pixels(page, IMAGE) == before).all()
    assert page.locator("#drag-region-note").is_hidden()


def test_touch_drags_too(browser: Any, address: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True)
    page = context.new_page()
    page.goto(f"{address}#/drag")
    page.wait_for_selector("body[data-ready='1']")
    settle(page)
    before = pixels(page, IMAGE)
    session = context.new_cdp_session(page)
    for kind, by in [("touchStart", 0), *(("touchMove", step) for step in range(1, 9))]:
        x, y = on_screen(page, OVERLAY, (NOSE[0] + by, NOSE[1]))
        points = [{"x": x, "y": y}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    settle(page)
    assert np.abs(pixels(page, IMAGE) - before).mean() > 2
    assert "1 step" in page.locator("#drag-history").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


def test_dark_light_pixels_and_help_by_keys(visit: Visit) -> None:
    page = visit("drag")
    theme = page.locator("html").get_attribute("data-theme")
    page.keyboard.press("t")
    assert page.locator("html").get_attribute("data-theme") != theme
    page.keyboard.press("p")
    assert "pixelated" in page.locator("body").get_attribute("class")
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    assert page.locator("#paint").is_visible()
    assert not page.locator("#drag").is_visible()
