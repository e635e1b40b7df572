from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.studio.screen import (
    choose,
    download,
    label_map,
    on_screen,
    pixels,
    reload,
    settle,
    shot,
    stroke,
)

Visit = Callable[[str], Any]
BOARD = "#paint-board"


def test_a_stroke_changes_map_and_images_and_undo_takes_it_back(visit: Visit) -> None:
    page = visit("paint")
    before, image = label_map(page), shot(page, "paint", 0)
    page.get_by_role("radio", name="car").click()
    stroke(page, BOARD, [(10, 5), (50, 5)])
    settle(page)
    car = 5
    assert (label_map(page)[5, 10:51] == car).all()
    changed = np.abs(shot(page, "paint", 0) - image).mean(2)
    assert changed[4:7, 14:47].mean() > 4 * changed[40:].mean()
    page.keyboard.press("Control+z")
    settle(page)
    assert (label_map(page) == before).all()
    assert (shot(page, "paint", 0) == image).all()


def test_new_styles_are_sampled_under_the_same_map(visit: Visit) -> None:
    page = visit("paint")
    before, seed = shot(page, "paint", 1), page.input_value("#paint-seed")
    page.locator("#paint [data-act=sample]").click()
    settle(page)
    assert page.input_value("#paint-seed") != seed
    assert np.abs(shot(page, "paint", 1) - before).mean() > 5
    page.fill("#paint-seed", seed)
    page.keyboard.press("Tab")
    settle(page)
    assert (shot(page, "paint", 1) == before).all()


def test_a_click_resamples_one_class_of_one_image_and_nothing_else(visit: Visit) -> None:
    page = visit("paint")
    sky = label_map(page) == 0
    before = [shot(page, "paint", i) for i in range(4)]
    frame = "#paint-gallery .shot:nth-child(3) .frame"
    page.mouse.click(*on_screen(page, frame, (32, 8)))
    settle(page)
    after = [shot(page, "paint", i) for i in range(4)]
    change = np.abs(after[2] - before[2]).mean(2)
    assert change[sky].mean() > 3
    assert change[~sky].max() == 0
    assert all((after[i] == before[i]).all() for i in (0, 1, 3))


def test_a_photo_is_uploaded_as_a_reference_and_its_sky_is_taken(visit: Visit) -> None:
    page = visit("paint")
    photo = Path(download(page, "#paint-gallery .shot:nth-child(4) a").path())
    before = shot(page, "paint", 0)
    choose(page, "[data-act=load-reference]", photo)
    page.locator("#paint-reference-empty").wait_for(state="hidden")
    settle(page)
    shown = pixels(page, "#paint-reference")
    assert np.abs(shown - np.asarray(Image.open(photo)).astype(int)).mean() < 1
    page.mouse.click(*on_screen(page, "#paint-reference", (32, 6)))
    settle(page)
    sky = label_map(page) == 0
    change = np.abs(shot(page, "paint", 0) - before).mean(2)
    assert change[sky].mean() > 2 * change[~sky].mean()


def test_a_file_that_is_no_image_is_refused_in_words(visit: Visit, tmp_path: Path) -> None:
    page = visit("paint")
    wrong = tmp_path / "wrong.png"
    wrong.write_text("no image")
    choose(page, "[data-act=load-mask]", wrong)
    page.get_by_text("The file is not a PNG, JPEG, WebP, BMP or TIFF image.").wait_for()


def test_images_and_mask_are_downloaded(visit: Visit) -> None:
    page = visit("paint")
    image = download(page, "#paint-gallery .shot a")
    assert image.suggested_filename == "semsynth_paint_0.png"
    with Image.open(download(page, "#paint a[href$='mask.png']").path()) as mask:
        assert (mask.mode, mask.size) == ("P", (64, 64))


def test_a_reload_finds_the_session(visit: Visit) -> None:
    page = visit("paint")
    page.get_by_role("radio", name="road").click()
    stroke(page, BOARD, [(5, 5), (20, 30)])
    page.locator("#paint [data-act=sample]").click()
    settle(page)
    before, image, seed = label_map(page), shot(page, "paint", 0), page.input_value("#paint-seed")
    reload(page)
    assert page.input_value("#paint-seed") == seed
    assert (label_map(page) == before).all()
    assert (shot(page, "paint", 0) == image).all()
    assert (before[5, 5], before[30, 20]) == (3, 3)


def test_the_map_is_painted_by_keys_alone(visit: Visit) -> None:
    page = visit("paint")
    page.locator(BOARD).focus()
    page.keyboard.press("e")
    page.keyboard.press("b")
    for key in [".", ".", ".", "ArrowRight", "ArrowDown", "Space"]:
        page.keyboard.press(key)
    settle(page)
    assert label_map(page)[33, 33] == 3


def test_everything_that_is_pressed_has_a_name(visit: Visit) -> None:
    page = visit("paint")
    for tab in ("paint", "scribble", "drag"):
        page.locator(f"#tab-{tab}").click()
        unnamed = page.locator("button:visible, a:visible, canvas:visible").evaluate_all(
            "all => all.filter(e => !(e.textContent.trim() || e.ariaLabel || e.title)"
            " && !e.classList.contains('over')).map(e => e.outerHTML)"
        )
        assert unnamed == []
