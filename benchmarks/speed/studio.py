"""Latency of a drag in the studio's page, from the mouse's event to the frame that is painted.

Chromium moves the mouse at the rate of a screen, as a hand would. The page takes the times, from an
event's own time stamp to the moment after its frame; frames that were overtaken are not shown.
"""

import re
import shutil
import subprocess
import sys
from typing import Any

import numpy as np
from rich.table import Table

NOSE = (32, 32)
RATE = 60  # events a second
STEPS = 90  # events of a drag


def latency(drags: int = 5) -> Table | str:
    """Medians and tails of each kind of drag, and how many frames were shown in order."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        return "The studio is not timed: there is no Chromium (apt-get install chromium)."
    table = Table("studio: drag", "p50, ms", "p95, ms", "frames", "events", "in order")
    words = [sys.executable, "-m", "semsynth", "studio", "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as studio:
        try:
            assert studio.stdout is not None
            found = re.search(r"http://\S+", studio.stdout.readline())
            assert found, "the studio did not start"
            for kind, (times, in_order) in measure(found[0], chromium, drags).items():
                p50, p95 = np.percentile(times, [50, 95])
                cells = (f"{p50:.0f}", f"{p95:.0f}", str(len(times)), str(drags * STEPS))
                table.add_row(kind, *cells, "yes" if in_order else "NO")
        finally:
            studio.terminate()
    return table


def measure(address: str, chromium: str, drags: int) -> dict[str, tuple[list[float], bool]]:
    """Times in milliseconds, and whether frames came in order, of each kind."""
    from playwright.sync_api import sync_playwright

    results = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for kind in ("one pass", "one pass, anchor", "one pass, region", "closed loop"):
            page = browser.new_page(viewport={"width": 1360, "height": 900})
            page.goto(f"{address}#/drag")
            page.wait_for_selector("body[data-ready='1']")
            if kind == "closed loop":
                page.check("#drag-loop")
            if kind.endswith("anchor"):
                page.mouse.click(*on_screen(page, (32, 58)), button="right")
            if kind.endswith("region"):
                paint_region(page)
            for _ in range(drags + 1):  # the first one warms up
                drag(page)
            frames = page.evaluate("window.studio.frames")
            times = page.evaluate("window.studio.latency")
            skipped = len(times) // (drags + 1)
            results[kind] = times[skipped:], frames == sorted(set(frames))
            page.context.close()
        browser.close()
    return results


def paint_region(page: Any) -> None:
    """Paint the middle of the face, which may move."""
    page.keyboard.press("r")
    page.fill("#drag-brush [type=number]", "30")
    page.mouse.move(*on_screen(page, (24, 32)))
    page.mouse.down()
    page.mouse.move(*on_screen(page, (40, 32)), steps=4)
    page.mouse.up()
    page.wait_for_timeout(300)
    page.locator("#drag [data-tool=drag]").click()


def drag(page: Any) -> None:
    """Move the nose around as a hand does, let go, and undo."""
    page.mouse.move(*on_screen(page, NOSE))
    page.mouse.down()
    for step in range(STEPS):
        x = NOSE[0] + 8 * np.sin(step / 14)
        y = NOSE[1] + 4 * np.sin(step / 9)
        page.mouse.move(*on_screen(page, (x, y)))
        page.wait_for_timeout(1000 / RATE)
    page.mouse.up()
    page.wait_for_timeout(600)
    page.keyboard.press("Control+z")
    page.wait_for_timeout(300)


def on_screen(page: Any, place: tuple[float, float]) -> tuple[float, float]:
    """Where a pixel of the image of 64 x 64 is in the window."""
    box = page.locator("#drag-overlay").bounding_box()
    x, y = ((value + 0.5) / 64 for value in place)
    return box["x"] + x * box["width"], box["y"] + y * box["height"]
