import base64
import io
import json
import random
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image
from starlette.websockets import WebSocketDisconnect

from semsynth.studio.answers import unpack
from semsynth.studio.server import build_app
from tests.studio.visitor import SOCKET, Page, black_png

DRAG = {"x": 33.0, "y": 27.0, "dx": 6.0, "dy": 0.0}


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def labels(state: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(state["mask"]), np.uint8).reshape(64, 64)


def test_a_visit_begins_with_something_in_each_tab(page: Page) -> None:
    header, images = page.ask("hello")
    assert [header[tab]["images"] for tab in ("paint", "scribble", "drag")] == [4, 5, 2]
    assert len(images) == 11
    assert all(pixels(image).std() > 10 for image in images)
    classes = header["paint"]["info"]["classes"]
    assert [entry["name"] for entry in classes[:2]] == ["sky", "building"]


def test_a_drag_is_previewed_done_undone_and_redone(page: Page) -> None:
    start = page.ask("drag.show")[1][0]
    preview = page.ask("drag.preview", marks=[DRAG])[1][0]
    assert pixels(page.ask("drag.show")[1][0]).tolist() == pixels(start).tolist()
    header, (after,) = page.ask("drag.commit", marks=[DRAG])
    assert header["can_undo"]
    assert np.abs(pixels(after) - pixels(preview)).mean() < 6  # the preview is a JPEG
    assert np.abs(pixels(after) - pixels(start)).mean() > 2
    assert page.ask("drag.undo")[1][0] == start
    assert page.ask("drag.redo")[1][0] == after


def test_of_many_previews_the_last_one_is_answered_last(page: Page) -> None:
    sent = [
        page.send("drag.preview", marks=[{**DRAG, "dx": 1 + 0.1 * i}], closed_loop=True)
        for i in range(40)
    ]
    answers = [page.receive() for _ in sent]
    assert sorted(header["seq"] for header, _ in answers) == sent
    shown = [header["seq"] for header, images in answers if images]
    assert shown == sorted(shown)
    assert shown[-1] == sent[-1]
    assert sum("superseded" in header for header, _ in answers) > 0


def test_a_class_is_resampled_and_nothing_else_changes(page: Page) -> None:
    state = page.ask("hello")[0]["paint"]
    sky = labels(state) == 0
    before = page.ask("paint.draw", mask=state["mask"])[1]
    after = page.ask("paint.resample", seed=77, sample=1, label=0, keep=True)[1]
    change = np.abs(pixels(after[1]) - pixels(before[1])).mean(2)
    assert change[sky].mean() > 4
    assert change[~sky].max() == 0
    assert after[0] == before[0]
    assert page.ask("paint.undo")[1] == before
    after = page.ask("paint.resample", seed=77, label=0)[1]  # without keeping other pixels
    change = np.abs(pixels(after[2]) - pixels(before[2])).mean(2)
    assert change[sky].mean() > 4 * change[~sky].mean()


def test_the_style_of_a_region_is_taken_from_a_reference(page: Page) -> None:
    page.ask("paint.example", seed=0)
    before = page.ask("paint.sample", seed=5, count=4)[1]
    _, images = page.ask("paint.example_reference", seed=1)
    reference = pixels(images[-1])
    after = page.ask("paint.style", label=0)[1]
    state = page.ask("hello")[0]["paint"]
    sky = labels(state) == 0
    there = np.frombuffer(base64.b64decode(state["reference_mask"]), np.uint8).reshape(64, 64) == 0
    colour = reference[there].mean(0)
    distance = [
        np.mean([np.abs(pixels(x)[sky].mean(0) - colour).mean() for x in images])
        for images in (before, after)
    ]
    assert distance[1] < 0.85 * distance[0]


def test_a_style_that_cannot_be_taken_is_told(page: Page) -> None:
    assert "Choose a reference" in page.ask("paint.style", label=0)[0]["error"]
    page.ask("paint.example_reference", seed=1)
    assert "There is no class 200" in page.ask("paint.style", label=200)[0]["error"]


def test_the_same_seed_gives_the_same_images(page: Page) -> None:
    first = page.ask("paint.sample", seed=9, count=2)[1]
    page.ask("paint.sample", seed=3, count=3)
    assert page.ask("paint.sample", seed=9, count=2)[1] == first


def test_scribbles_are_drawn_and_refined(page: Page) -> None:
    state = page.ask("hello")[0]["scribble"]
    first = page.ask("scribble.draw", mask=state["mask"], seed=0, count=2)
    assert [pixels(x).shape for x in first[1]] == [(64, 64, 3)] * 2
    header, refined = page.ask("scribble.refine")
    assert header["refined"]
    assert refined[0] != first[1][0]
    assert page.reports[0]["words"].startswith("Refining")
    blank = base64.b64encode(bytes(64 * 64)).decode()
    header, _ = page.ask("scribble.draw", mask=blank, seed=0, count=2)
    assert (header["status"], "draw a stroke" in header["error"]) == (422, True)


def test_an_encoder_is_trained_from_one_sample_while_others_are_served(
    new_page: Callable[[], Page],
) -> None:
    page, other = new_page(), new_page()
    state = page.ask("hello")[0]["scribble"]
    other.ask("hello")
    page.ask("annotate.sample", seed=5)
    train = page.send("annotate.train", mask=state["mask"], steps=12)
    reports = [page.receive()[0]]
    assert other.ask("drag.preview", marks=[DRAG])[1]
    while not (answer := page.receive())[0]["done"]:
        reports.append(answer[0])
    assert all(report["seq"] == train for report in reports)
    assert reports[-1]["words"] == "Step 12 of 12"
    assert reports[0]["loss"] > 0
    assert answer[0]["uses_own"]
    own = page.ask("scribble.draw", mask=state["mask"], seed=0, count=1)[1]
    page.ask("scribble.use_shipped")
    assert page.ask("scribble.draw", mask=state["mask"], seed=0, count=1)[1] != own
    assert not other.ask("hello")[0]["scribble"]["has_own"]


def test_a_training_can_be_stopped(page: Page) -> None:
    state = page.ask("hello")[0]["scribble"]
    seq = page.send("annotate.train", mask=state["mask"], steps=1000)
    page.receive()
    page.send("stop")
    ends: list[dict[str, Any]] = []
    while not any(end["seq"] == seq for end in ends):
        header, _ = page.receive()
        if header["done"]:
            ends.append(header)
    assert next(end for end in ends if end["seq"] == seq)["stopped"]
    assert not page.ask("hello")[0]["scribble"]["has_own"]


def test_a_photo_is_looked_for_in_the_generator(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semsynth.studio.drag.INVERSION_STEPS", 12)
    file = io.BytesIO()
    Image.fromarray(pixels(page.ask("drag.show")[1][0]).astype(np.uint8)).save(file, "PNG")
    upload = page.client.post("/upload/drag.photo", content=file.getvalue()).json()["upload"]
    header, images = page.ask("drag.photo", upload=upload)
    assert header["start"]["kind"] == "image"
    assert len(images) == 2
    assert page.ask("drag.photo", upload=999)[0]["status"] == 422


def test_photos_and_label_maps_are_uploaded(page: Page) -> None:
    state = page.ask("hello")[0]["paint"]
    mask = page.client.get("/export/paint/mask.png").content
    page.ask("paint.example", seed=7)
    upload = page.client.post("/upload/paint.mask", content=mask).json()["upload"]
    header, _ = page.ask("paint.mask", upload=upload)
    assert header["mask"] == state["mask"]
    photo = page.client.get("/export/paint/0.png").content
    upload = page.client.post("/upload/paint.photo", content=photo).json()["upload"]
    found = labels(page.ask("paint.photo", upload=upload)[0])
    assert (found == labels(state)).mean() > 0.7  # the segmenter knows streets


def test_files_are_exported(page: Page) -> None:
    page.ask("drag.commit", marks=[DRAG])
    get = page.client.get
    assert pixels(get("/export/drag/edit.png").content).shape == (64, 64, 3)
    assert Image.open(io.BytesIO(get("/export/drag/edit.gif").content)).n_frames == 9  # type: ignore[attr-defined]
    history = get("/export/drag/edit.json")
    assert [step["kind"] for step in history.json()["steps"]] == ["sample", "drag"]
    assert "attachment" in history.headers["content-disposition"]
    files = zipfile.ZipFile(io.BytesIO(get("/export/paint/all.zip").content)).namelist()
    assert files == ["mask.png", *(f"image_{i}.png" for i in range(4))]
    assert get("/export/paint/9.png").status_code == 404
    assert get("/export/drag/..%2f..%2fetc.png").status_code == 404


def test_a_visitor_who_comes_back_finds_the_session(app: FastAPI) -> None:
    page = Page(app).open()
    page.ask("paint.sample", seed=11, count=2)
    page.ask("drag.commit", marks=[DRAG])
    page.close()
    page.open()
    header, _ = page.ask("hello")
    assert header["paint"]["recipes"] == [{"seed": 11}, {"seed": 12}]
    assert header["drag"]["steps"] == 1
    page.close()


def test_two_visitors_do_not_affect_each_other(new_page: Callable[[], Page]) -> None:
    one, two = new_page(), new_page()
    untouched = two.ask("hello")
    one.ask("drag.commit", marks=[DRAG])
    one.ask("paint.sample", seed=4, count=1)
    one.ask("paint.example", seed=9)
    one.ask("scribble.example", seed=3, kind="landmarks")
    again = two.ask("hello")
    assert again[1] == untouched[1]
    assert again[0]["drag"] == untouched[0]["drag"]
    assert again[0]["paint"] == untouched[0]["paint"]


def test_without_the_cookie_nothing_is_told(app: FastAPI) -> None:
    page = Page(app)
    page.client.cookies.clear()
    assert page.client.get("/export/paint/mask.png").status_code == 401
    assert page.client.post("/upload/paint.mask", content=b"").status_code == 401
    with page.client.websocket_connect(SOCKET) as socket:
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_bytes()
        assert closed.value.code == 4401


def test_who_comes_too_many_is_told_so(models: Any) -> None:
    app = build_app(models, most_visitors=1)
    first, second = Page(app).open(), Page(app)
    with second.client.websocket_connect(SOCKET) as socket:
        event = socket.receive()
    assert event["code"] == 4503
    assert "full" in event["reason"]
    first.close()


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"<svg/>", 415),
        (b"text", 415),
        (black_png(10_000, 10_000), 415),
        (black_png(65_000, 65_000, rows=9), 415),
        (bytes(13 * 2**20), 413),
    ],
    ids=["svg", "text", "100 megapixels", "zip bomb", "13 MB"],
)
def test_files_that_are_refused(page: Page, content: bytes, status: int) -> None:
    answer = page.client.post("/upload/drag.photo", content=content)
    assert answer.status_code == status
    assert answer.json()["detail"]


def test_a_thousand_malformed_messages_do_no_harm(app: FastAPI) -> None:
    rng = random.Random(0)
    page = Page(app)
    outcomes: dict[str, int] = {}
    for _ in range(1000):
        outcome = rng.choice([to_socket, to_socket, to_http])(page, rng)
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    assert sum(outcomes.values()) == 1000
    assert set(outcomes) <= {"closed", "400", "401", "404", "405", "413", "415", "422", "429"}
    assert outcomes["closed"] > 200
    assert page.open().ask("drag.preview", marks=[DRAG])[1]  # it still serves
    page.close()


def to_socket(page: Page, rng: random.Random) -> str:
    """Send something malformed; how that ended."""
    with page.client.websocket_connect(SOCKET) as socket:
        broken = malformed(rng)
        if isinstance(broken, bytes):
            socket.send_bytes(broken)
        else:
            socket.send_text(broken)
        event = socket.receive()
    if event["type"] == "websocket.close":
        return "closed" if event["code"] == 1008 else f"closed by {event['code']}"
    return str(unpack(event["bytes"])[0]["status"])


def malformed(rng: random.Random) -> str | bytes:
    """A message that no page sends."""
    size = rng.choice([0, 1, 100, 64 * 64 - 1, 64 * 64 + 1])
    good: list[dict[str, Any]] = [
        {"type": "drag.preview", "marks": [{"x": 5, "y": 5, "dx": 4, "dy": 4}]},
        {"type": "drag.sample", "seed": 1},
        {"type": "paint.sample", "seed": 1, "count": 2},
        {"type": "annotate.train", "mask": base64.b64encode(bytes(64 * 64)).decode(), "steps": 20},
        {"type": "scribble.example", "seed": 1, "kind": "scribbles"},
    ]
    kind = rng.randrange(9)
    if kind == 0:
        return rng.randbytes(rng.randrange(200))
    if kind == 1:
        return "[" * rng.choice([1, 50, 5000])
    if kind == 2:
        return json.dumps({"seq": 1, **rng.choice(good)})[: -rng.randrange(1, 9)]
    if kind == 3:  # a value of another kind
        broken = {"seq": 1, **rng.choice(good)}
        broken[rng.choice(list(broken))] = rng.choice(["x", [], {}, None, -0.5, 10**30])
        return json.dumps(broken)
    if kind == 4:  # a key too many
        return json.dumps({"seq": 1, **rng.choice(good), "path": "/etc/passwd"})
    if kind == 5:  # points outside, too long or not finite
        value = rng.choice([-1, 64.5, 300, float("nan"), float("inf"), 1e30])
        mark = {"x": 5, "y": 5, "dx": 4, "dy": 4, rng.choice(["x", "y"]): value}
        return json.dumps({"seq": 1, "type": "drag.commit", "marks": [mark]})
    if kind == 6:  # marks without end
        marks = [{"x": 5, "y": 5}] * rng.choice([0, 65, 2000])
        return json.dumps({"seq": 1, "type": "drag.preview", "marks": marks})
    if kind == 7:  # label maps of another size, or of classes that there are not
        data = bytes(size) if rng.random() < 0.5 else bytes([200] * 64 * 64)
        text = base64.b64encode(data).decode()
        return json.dumps({"seq": 1, "type": "paint.draw", "mask": text})
    nothing_there: list[dict[str, Any]] = [
        {"type": "paint.mask", "upload": 7},
        {"type": "drag.photo", "upload": 7},
        {"type": "paint.resample", "seed": 1, "label": 200},
        {"type": "paint.resample", "seed": 1, "level": 99},
        {"type": "paint.resample", "seed": 1, "sample": 255},
        {"type": "paint.style", "label": 200},
        {"type": "scribble.use_own"},
    ]
    return json.dumps({"seq": 1, **rng.choice(nothing_there)})


def to_http(page: Page, rng: random.Random) -> str:
    """Send a request that makes no sense; its status."""
    path = rng.choice(
        [
            "/upload/paint.mask",
            "/upload/drag.photo",
            "/upload/nothing",
            "/export/drag/edit.exe",
            "/export/paint/%2e%2e%2fmask.png",
            "/export/x/0.png",
            "/export/paint/99999.png",
            "/export/paint/edit.png",
            "/export/paint/all.png",
            "/export/scribble/mask.zip",
            "/export/drag/mask.png",
            "/export/scribble/\u0663.png",
            "/static/../server.py",
            "/static/%2e%2e/server.py",
            "/nowhere",
        ]
    )
    method = "POST" if path.startswith("/upload") else rng.choice(["GET", "POST", "PUT", "DELETE"])
    headers = {"Content-Type": rng.choice(["image/png", "application/json", "\x7f"])}
    body = b"\x89PNG\r\n\x1a\n" * rng.randrange(2) + rng.randbytes(rng.randrange(300))
    return str(page.client.request(method, path, content=body, headers=headers).status_code)
