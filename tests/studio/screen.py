"""What is seen in a browser: pixels of canvases, and strokes of a mouse."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

READ = "canvas => canvas.toDataURL('image/png')"
IDLE = "#link-state.on"
Place = tuple[float, float]


def settle(page: Any) -> None:
    """Wait until everything that was asked for has been answered and drawn."""
    page.wait_for_timeout(60)
    page.wait_for_selector(IDLE)
    page.wait_for_timeout(150)
    page.wait_for_selector(IDLE)


def reload(page: Any) -> None:
    """Load the page again, and wait for its session."""
    page.reload()
    page.wait_for_selector("body[data-ready='1']")
    settle(page)


def choose(page: Any, button: str, file: Path) -> None:
    """Press a button and give the file that it asks for."""
    with page.expect_file_chooser() as chooser:
        page.locator(button).first.click()
    chooser.value.set_files(file)


def download(page: Any, link: str) -> Any:
    """The file behind a link."""
    with page.expect_download() as started:
        page.locator(link).first.click()
    return started.value


def label_map(page: Any) -> np.ndarray:
    """Classes (64, 64) of the painted map, as they are downloaded."""
    with Image.open(download(page, "#paint .editor a[href$='mask.png']").path()) as mask:
        return np.asarray(mask)


def pixels(page: Any, selector: str) -> np.ndarray:
    """Colours (H, W, 3) of a canvas, as integers."""
    address = page.locator(selector).evaluate(READ)
    image = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
    return np.asarray(image.convert("RGB")).astype(int)


def shot(page: Any, tab: str, number: int) -> np.ndarray:
    """An image of a gallery."""
    return pixels(page, f"#{tab}-gallery .shot:nth-child({number + 1}) canvas:first-child")


def on_screen(page: Any, selector: str, place: Place, size: int = 64) -> Place:
    """Where a pixel of an image of this size is in the window."""
    locator = page.locator(selector)
    locator.scroll_into_view_if_needed()
    box = locator.bounding_box()
    x, y = place
    return box["x"] + (x + 0.5) / size * box["width"], box["y"] + (y + 0.5) / size * box["height"]


def stroke(page: Any, selector: str, places: Sequence[Place], steps: int = 6) -> None:
    """Press, move along places and let go."""
    first, *others = [on_screen(page, selector, place) for place in places]
    page.mouse.move(*first)
    page.mouse.down()
    for place in others:
        page.mouse.move(*place, steps=steps)
    page.mouse.up()


def moved(before: np.ndarray, after: np.ndarray, at: tuple[int, int], reach: int = 12) -> Place:
    """How far what was at a pixel (x, y) has gone, by the most similar patch."""
    x, y = at
    half = 5
    patch = before[y - half : y + half + 1, x - half : x + half + 1].astype(np.uint8)
    top, left = max(0, y - half - reach), max(0, x - half - reach)
    area = after[top : y + half + reach + 1, left : x + half + reach + 1].astype(np.uint8)
    similar = cv2.matchTemplate(area, patch, cv2.TM_CCOEFF_NORMED)
    row, column = np.unravel_index(int(similar.argmax()), similar.shape)
    return float(left + column + half - x), float(top + row + half - y)
