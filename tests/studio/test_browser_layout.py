from collections.abc import Callable
from typing import Any

import pytest

from tests.studio.screen import label_map, on_screen, reload, settle

Visit = Callable[[str], Any]
WHOLE = (
    "box => box.top >= 0 && box.bottom <= innerHeight && box.left >= 0 && box.right <= innerWidth"
)
SEEN = f"e => ({WHOLE})(e.getBoundingClientRect())"


@pytest.fixture
def phone(browser: Any, address: str) -> Any:
    context = browser.new_context(viewport={"width": 390, "height": 740}, has_touch=True)
    page = context.new_page()
    page.goto(f"{address}#/paint")
    page.wait_for_selector("body[data-ready='1']")
    settle(page)
    yield page
    context.close()


def test_a_phone_shows_map_and_images_together_and_a_finger_paints(phone: Any) -> None:
    for tab in ("scribble", "paint"):
        phone.locator(f"#tab-{tab}").tap()
        for part in ("board", "gallery .shot canvas"):
            assert phone.locator(f"#{tab}-{part}").first.evaluate(SEEN), f"{part} of {tab}"
        assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    phone.locator("#paint-palette").get_by_role("radio", name="person").tap()
    session = phone.context.new_cdp_session(phone)
    for kind, places in (("touchStart", [10]), ("touchMove", [20]), ("touchEnd", [])):
        points = [on_screen(phone, "#paint-board", (x, 5)) for x in places]
        touches = [{"x": x, "y": y} for x, y in points]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})
    settle(phone)
    assert (label_map(phone)[5, 10:21] == 6).all()


def test_two_fingers_zoom_the_map_and_paint_nothing(phone: Any) -> None:
    before = label_map(phone)
    session = phone.context.new_cdp_session(phone)
    for kind, spread in (("touchStart", 5), ("touchMove", 7), ("touchMove", 10), ("touchEnd", 0)):
        points = [on_screen(phone, "#paint-board", (32 + side * spread, 32)) for side in (-1, 1)]
        touches = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
        given = touches if kind != "touchEnd" else []
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": given})
    settle(phone)
    assert phone.locator("#paint [data-zoom=fit]").inner_text() == "200 %"
    assert (label_map(phone) == before).all()


def test_a_skeleton_is_shown_before_any_module_has_come(browser: Any, address: str) -> None:
    page = browser.new_page(color_scheme="light")
    page.route("**/js/*", lambda route: route.abort())
    page.goto(address)
    assert page.locator("html").get_attribute("data-theme") == "light"
    for part in (".stage", ".gallery", ".palette"):
        style = page.locator(f"#paint {part}").evaluate("e => getComputedStyle(e).animationName")
        assert style == "shimmer"
    page.context.close()


def test_refining_is_not_the_first_button_and_says_what_it_does(visit: Visit) -> None:
    page = visit("scribble")
    first = page.locator("#scribble .results button.primary:visible").all_inner_texts()
    assert first == ["New styles"]
    assert "with few strokes it may add stripes" in page.locator("#scribble-hint").inner_text()


def test_a_first_visit_opens_on_the_best_and_a_later_one_where_the_last_was(
    browser: Any, address: str
) -> None:
    page = browser.new_page()
    page.goto(address)
    page.wait_for_selector("body[data-ready='1']")
    assert page.locator("#drag").is_visible()
    page.locator("#tab-scribble").click()
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_selector("body[data-ready='1']")
    assert page.locator("#scribble").is_visible()
    page.context.close()


def test_a_model_is_chosen_by_its_card_and_keeps_its_own_map(visit: Visit) -> None:
    page = visit("paint")
    page.get_by_role("radio", name="car").click()
    page.mouse.click(*on_screen(page, "#paint-board", (10, 5)))
    settle(page)
    before = label_map(page)
    page.locator("#model-open").click()
    cards = page.locator("#models-list li")
    assert cards.count() == 2
    assert "CLVAE of ToyStreet" in cards.first.inner_text()
    assert "32 x 32" in cards.last.inner_text()
    cards.last.get_by_role("button").click()
    page.get_by_role("radio", name="sand").click()
    page.keyboard.press("f")
    page.mouse.click(*on_screen(page, "#paint-board", (10, 5)))
    settle(page)
    reload(page)
    assert (label_map(page) == 1).all()
    assert label_map(page).shape == (32, 32)
    page.locator("#model-open").click()
    cards.first.get_by_role("button").click()
    page.get_by_role("radio", name="car").wait_for()
    settle(page)
    assert (label_map(page) == before).all()
    page.keyboard.press("Control+z")
    settle(page)
    assert (label_map(page) != before).any()
