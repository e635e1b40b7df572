import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, features

from tests.studio.screen import choose, label_map, pixels, settle

Visit = Callable[[str], Any]
GIVE = """([kind, data, name, type]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const given = new DataTransfer();
  given.items.add(new File([bytes], name, { type }));
  const options = { bubbles: true, cancelable: true };
  document.body.dispatchEvent(kind === "paste"
    ? new ClipboardEvent("paste", { ...options, clipboardData: given })
    : new DragEvent("drop", { ...options, dataTransfer: given }));
}"""


def give(page: Any, kind: str, path: Path) -> None:
    """Paste a file, or drop it beside everything."""
    data = base64.b64encode(path.read_bytes()).decode()
    page.evaluate(GIVE, [kind, data, path.name, f"image/{path.suffix[1:]}"])


def palette_map(mask: np.ndarray) -> Image.Image:
    """A label map with colours that are no class's."""
    image = Image.fromarray(mask.astype(np.uint8), "P")
    image.putpalette([channel for value in range(8) for channel in (250 - value, 9 * value, value)])
    return image


@pytest.mark.parametrize("kind", ["paste", "drop"])
def test_what_is_pasted_or_dropped_anywhere_is_taken(
    visit: Visit, tmp_path: Path, kind: str
) -> None:
    page = visit("paint")
    mask = np.random.default_rng(0).integers(0, 8, (64, 64))
    palette_map(mask).save(tmp_path / "mask.png")
    give(page, kind, tmp_path / "mask.png")
    settle(page)
    assert (label_map(page) == mask).all()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.png")
    give(page, kind, tmp_path / "photo.png")  # no label map, so a photo to label
    page.get_by_text("The segmenter has labelled your photo.").wait_for()
    settle(page)
    assert (label_map(page) != mask).any()


def test_images_beyond_the_limits_are_shrunk_and_labels_stay_exact(
    visit: Visit, tmp_path: Path
) -> None:
    page = visit("paint")
    mask = np.random.default_rng(0).integers(0, 8, (64, 64))
    large = mask.repeat(80, 0).repeat(80, 1)  # 26 megapixels
    palette_map(large).save(tmp_path / "mask.png", compress_level=1)
    choose(page, "[data-act=load-mask]", tmp_path / "mask.png")
    page.get_by_text("Loaded.").wait_for()
    settle(page)
    assert (label_map(page) == mask).all()
    ramp = np.linspace(0, 255, 5120).astype(np.uint8)
    Image.fromarray(np.tile(ramp, (5120, 1))).save(tmp_path / "photo.jpg")
    choose(page, "[data-act=load-reference]", tmp_path / "photo.jpg")
    page.locator("#paint-reference-empty").wait_for(state="hidden")
    settle(page)
    shown = pixels(page, "#paint-reference").mean(2)
    assert np.abs(shown - np.linspace(2, 253, 64)).mean() < 3


@pytest.mark.skipif(not features.check("avif"), reason="Pillow cannot write AVIF here")
def test_what_only_the_browser_can_decode_is_taken(visit: Visit, tmp_path: Path) -> None:
    page = visit("paint")
    Image.new("RGB", (64, 64), (200, 30, 30)).save(tmp_path / "photo.avif")
    choose(page, "[data-act=load-reference]", tmp_path / "photo.avif")
    page.locator("#paint-reference-empty").wait_for(state="hidden")
    settle(page)
    assert np.abs(pixels(page, "#paint-reference") - (200, 30, 30)).max() < 12
    (tmp_path / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    choose(page, "[data-act=load-reference]", tmp_path / "photo.heic")
    page.get_by_text("This browser cannot open HEIC or AVIF photos").wait_for()


def test_mask_and_photo_of_a_pair_are_cropped_alike_where_the_visitor_says(
    visit: Visit, tmp_path: Path
) -> None:
    page = visit("paint")
    mask = np.zeros((64, 128), np.uint8)
    mask[:, 64:] = 5
    mask[20:40, 100:] = 3
    palette_map(mask).save(tmp_path / "mask.png")
    Image.fromarray(30 * mask).save(tmp_path / "photo.png")
    choose(page, "[data-act=load-mask]", tmp_path / "mask.png")
    page.locator("#crop").wait_for()
    assert page.locator("#crop-note").is_hidden()
    page.locator("#crop-view").focus()
    for _ in range(40):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.locator("#crop-use").click()
    settle(page)
    assert (label_map(page) == mask[:, 64:]).all()
    choose(page, "[data-act=load-reference]", tmp_path / "photo.png")
    page.locator("#crop-note").wait_for()
    page.keyboard.press("Enter")
    page.locator("#paint-reference-empty").wait_for(state="hidden")
    settle(page)
    assert np.abs(pixels(page, "#paint-reference")[..., 0] - 30.0 * mask[:, 64:]).mean() < 3
    choose(page, "[data-act=load-mask]", tmp_path / "mask.png")
    page.locator("#crop").wait_for()
    page.keyboard.press("Escape")  # nothing is loaded
    settle(page)
    assert page.locator(".toast.error").count() == 0
