from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from tests.studio.screen import reload, settle, shot, stroke

Visit = Callable[[str], Any]
BOARD = "#scribble-board"
FACE = {  # one stroke in each thing of a portrait
    "background": [(6, 6), (6, 40)],
    "hair": [(24, 14), (40, 14)],
    "skin": [(24, 36), (28, 40)],
    "eye": [(26, 28), (28, 28)],
    "mouth": [(30, 40), (34, 40)],
    "cloth": [(20, 60), (46, 60)],
}


def draw_face(page: Any) -> None:
    for name, places in FACE.items():
        page.locator("#scribble-palette").get_by_role("radio", name=name, exact=True).click()
        stroke(page, BOARD, places)


def test_scribbles_become_images_in_several_styles(visit: Visit) -> None:
    page = visit("scribble")
    page.locator("[data-clear]").click()
    page.get_by_text("Choose a class and draw a stroke").wait_for()
    draw_face(page)
    settle(page)
    images = [shot(page, "scribble", i) for i in range(4)]
    assert all(np.abs(a - b).mean() > 5 for a, b in pairwise(images))
    page.locator("#scribble [data-act=styles]").click()
    settle(page)
    assert np.abs(shot(page, "scribble", 0) - images[0]).mean() > 5


def test_refining_shows_progress_and_changes_the_images(visit: Visit) -> None:
    page = visit("scribble")
    before = shot(page, "scribble", 0)
    page.locator("[data-act=refine]").click()
    page.get_by_text("Refining:").wait_for()
    page.get_by_text("Refined: closer to your marks.").wait_for()
    settle(page)
    assert np.abs(shot(page, "scribble", 0) - before).mean() > 1


def test_an_encoder_is_trained_from_one_annotated_sample_and_used(visit: Visit) -> None:
    page = visit("scribble")
    before = shot(page, "scribble", 0)
    page.locator("[data-mode=annotate]").click()
    draw_face(page)
    page.locator("#train-steps").evaluate("e => e.add(new Option('20', '20', true, true))")
    page.locator("[data-act=train]").click()
    page.get_by_text("of 20 · loss").wait_for()
    page.get_by_text("Your encoder is ready and in use.").wait_for(timeout=120_000)
    settle(page)
    own = page.locator("[data-encoder=own]")
    assert own.get_attribute("aria-pressed") == "true"
    assert np.abs(shot(page, "scribble", 0) - before).mean() > 1
    page.locator("[data-encoder=shipped]").click()
    settle(page)
    assert (shot(page, "scribble", 0) == before).all()


def test_landmarks_are_stamped(visit: Visit) -> None:
    page = visit("scribble")
    page.locator("[data-clear]").click()
    page.keyboard.press("m")
    for name, place in {"eye": (26, 28), "mouth": (32, 42), "hair": (32, 12)}.items():
        page.locator("#scribble-palette").get_by_role("radio", name=name, exact=True).click()
        stroke(page, BOARD, [place, place])
    settle(page)
    assert shot(page, "scribble", 3).std() > 10


def test_marks_that_were_cleared_and_notes_are_found_after_a_reload(visit: Visit) -> None:
    page = visit("scribble")
    page.locator("[data-clear]").click()
    page.locator("[data-mode=annotate]").click()
    page.locator("#scribble-palette").get_by_role("radio", name="hair", exact=True).click()
    stroke(page, BOARD, [(20, 20), (40, 20)])
    settle(page)
    reload(page)
    page.get_by_text("Choose a class and draw a stroke").wait_for()
    assert page.locator("[data-act=refine]").is_disabled()
    page.locator("[data-mode=annotate]").click()
    page.locator("#train-steps").evaluate("e => e.add(new Option('10', '10', true, true))")
    page.locator("[data-act=train]").click()  # which it refuses without a mark
    page.get_by_text("of 10 · loss").wait_for()
    page.locator("#scribble-job [data-act=stop]").click()
