import base64
import io
import json
import random
import threading
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image
from starlette.websockets import WebSocketDisconnect

from semsynth.studio import jobs
from semsynth.studio.answers import unpack
from semsynth.studio.models import Models
from semsynth.studio.server import build_app
from semsynth.studio.uploads import read_photo
from semsynth.studio.visitors import KEY
from tests.studio.visitor import SOCKET, Page, black_png

DRAG = {"x": 33.0, "y": 27.0, "dx": 6.0, "dy": 0.0}
FOUR = [{"seed": seed} for seed in range(4)]
NOWHERE = "0" * 32


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def labels(mask: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(mask), np.uint8).reshape(64, 64)


def street(page: Page, seed: int = 0) -> str:
    """A label map of the toy world."""
    mask: str = page.ask("paint.example", seed=seed)[0]["mask"]
    return mask


def portrait(page: Page) -> str:
    """Scribbles of the toy world."""
    mask: str = page.ask("scribble.example", seed=1, kind="scribbles")[0]["mask"]
    return mask


def face(page: Page, seed: int = 13) -> tuple[str, bytes, bytes]:
    """Key, image and latents of a sample."""
    header, (image, latents) = page.ask("drag.sample", seed=seed)
    return header["at"], image, latents


def test_the_page_is_told_what_the_models_are(page: Page) -> None:
    header, images = page.ask("hello")
    street, sea = header["paint"]
    assert [entry["name"] for entry in street["classes"][:2]] == ["sky", "building"]
    assert [entry["name"] for entry in sea["classes"]] == ["sea", "sand"]
    models = [info["model"] for tab in ("paint", "scribble", "drag") for info in header[tab]]
    assert len(set(models)) == 4
    assert header["first"] == "drag"
    assert not images


def test_each_message_and_upload_is_for_the_model_that_it_names(page: Page) -> None:
    model = page.ask("hello")[0]["paint"][1]["model"]
    mask = base64.b64encode(bytes(32 * 32)).decode()
    draw = {"mask": mask, "recipes": [{"seed": 0, "changes": []}]}
    (image,) = page.ask("paint.draw", **draw, model=model)[1]
    assert pixels(image).shape == (32, 32, 3)
    file = page.export("paint/mask.png", "paint.draw", **draw, model=model).content
    key = page.upload(f"paint.mask?model={model}", file)
    assert page.ask("paint.mask", upload=key, model=model)[0]["mask"] == mask
    assert page.ask("paint.draw", **draw)[0]["status"] == 422
    assert "no longer has this model" in page.ask("paint.draw", **draw, model="0" * 16)[0]["error"]


def test_a_drag_is_previewed_and_done_from_the_latents_that_it_names(page: Page) -> None:
    at, start, _ = face(page)
    preview = page.ask("drag.preview", at=at, marks=[DRAG])[1][0]
    assert page.ask("drag.show", at=at)[1][0] == start
    header, (after, _) = page.ask("drag.commit", at=at, marks=[DRAG])
    assert np.abs(pixels(after) - pixels(preview)).mean() < 6  # the preview is a JPEG
    assert np.abs(pixels(after) - pixels(start)).mean() > 2
    assert page.ask("drag.show", at=header["at"])[1][0] == after
    again = page.ask("drag.commit", at=at, marks=[DRAG])
    assert (again[0]["at"], again[1][0]) == (header["at"], after)


def test_of_many_previews_the_last_one_is_answered_last(page: Page) -> None:
    at = face(page)[0]
    sent = [
        page.send("drag.preview", at=at, marks=[{**DRAG, "dx": 1 + 0.1 * i}], closed_loop=True)
        for i in range(40)
    ]
    answers = [page.receive() for _ in sent]
    assert sorted(header["seq"] for header, _ in answers) == sent
    shown = [header["seq"] for header, images in answers if images]
    assert shown == sorted(shown)
    assert shown[-1] == sent[-1]
    assert sum("superseded" in header for header, _ in answers) > 0


def test_a_class_is_resampled_and_nothing_else_changes(page: Page) -> None:
    mask = street(page)
    sky = labels(mask) == 0
    before = page.ask("paint.draw", mask=mask, recipes=FOUR)[1]
    kept = {"label": 0, "seed": 77, "keep": True}
    recipes = [FOUR[0], {"seed": 1, "changes": [kept]}, *FOUR[2:]]
    after = page.ask("paint.draw", mask=mask, recipes=recipes)[1]
    change = np.abs(pixels(after[1]) - pixels(before[1])).mean(2)
    assert change[sky].mean() > 4
    assert change[~sky].max() == 0
    assert after[0] == before[0]
    assert page.ask("paint.draw", mask=mask, recipes=FOUR)[1] == before
    recipes = [{"seed": 2, "changes": [{**kept, "keep": False}]}]  # other pixels may change
    change = np.abs(
        pixels(page.ask("paint.draw", mask=mask, recipes=recipes)[1][0]) - pixels(before[2])
    )
    assert change[sky].mean() > 4 * change[~sky].mean()


def test_the_style_of_a_region_is_taken_from_a_reference(page: Page) -> None:
    mask = street(page)
    before = page.ask("paint.draw", mask=mask, recipes=FOUR)[1]
    header, (image,) = page.ask("paint.example_reference", seed=1)
    there = labels(header["mask"]) == 0
    style = {"label": 0, "reference": header["reference"], "labels": header["labels"]}
    recipes = [{**recipe, "changes": [style]} for recipe in FOUR]
    after = page.ask("paint.draw", mask=mask, recipes=recipes)[1]
    sky, colour = labels(mask) == 0, pixels(image)[there].mean(0)
    distance = [
        np.mean([np.abs(pixels(x)[sky].mean(0) - colour).mean() for x in images])
        for images in (before, after)
    ]
    assert distance[1] < 0.85 * distance[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [({"label": 0}, "Choose a reference"), ({"label": 200, "seed": 1}, "There is no class 200")],
)
def test_a_style_that_cannot_be_taken_is_told(page: Page, change: Any, words: str) -> None:
    recipes = [{"seed": 0, "changes": [change]}]
    header, _ = page.ask("paint.draw", mask=street(page), recipes=recipes)
    assert words in header["error"]


def test_what_the_server_has_forgotten_is_named_and_taken_again(
    app: FastAPI, new_page: Callable[[], Page]
) -> None:
    """As after a restart: another visitor stands for the server that knows nothing."""
    page, anew = new_page(), new_page()
    at, image, latents = face(page)
    header, _ = anew.ask("drag.show", at=at)
    assert (header["status"], header["missing"]) == (410, at)
    assert anew.upload("drag.latents", latents) == at
    assert anew.ask("drag.show", at=at)[1][0] == image
    mask = street(page)
    header, (photo,) = page.ask("paint.example_reference", seed=1)
    style = {"label": 0, "reference": header["reference"], "labels": header["labels"]}
    draw = {"mask": mask, "recipes": [{"seed": 0, "changes": [style]}]}
    missing = {anew.ask("paint.draw", **draw)[0]["missing"]}
    missing.add(anew.upload("paint.labels", base64.b64decode(header["mask"])))
    missing.add(anew.upload("paint.reference", photo))
    assert missing == {header["reference"], header["labels"]}
    assert anew.ask("paint.draw", **draw)[1] == page.ask("paint.draw", **draw)[1]


@pytest.mark.parametrize("latents", [b"", b"1234", b"\xff" * 4 * 10 * 128])
def test_latents_that_cannot_be_are_refused(page: Page, latents: bytes) -> None:
    assert page.client.post("/upload/drag.latents", content=latents).status_code == 415


def test_scribbles_are_drawn_and_refined_without_touching_the_shared_model(
    page: Page, models: Models
) -> None:
    draw = {"mask": portrait(page), "seed": 0, "count": 2}
    first = page.ask("scribble.draw", **draw)[1]
    assert [pixels(x).shape for x in first] == [(64, 64, 3)] * 2
    method = models.scribble[0].method
    before = method.refine, method.refine_steps, method.refine_prior
    header, (*refined, latents) = page.ask("scribble.refine", **draw, job="refine-1")
    assert refined[0] != first[0]
    assert page.reports[0]["words"].startswith("Refining")
    assert (method.refine, method.refine_steps, method.refine_prior) == before
    assert page.upload("scribble.latents", latents) == header["at"]
    assert page.ask("scribble.draw", **draw, at=header["at"])[1] == refined
    blank = base64.b64encode(bytes(64 * 64)).decode()
    header, _ = page.ask("scribble.draw", mask=blank, seed=0, count=2)
    assert (header["status"], "draw a stroke" in header["error"]) == (422, True)


def test_an_encoder_is_trained_from_one_sample_while_others_are_served(
    new_page: Callable[[], Page],
) -> None:
    page, other = new_page(), new_page()
    mask, at = portrait(page), face(other)[0]
    train = page.send("annotate.train", mask=mask, seed=5, steps=12, job="train-01")
    reports = [page.receive()[0]]
    assert other.ask("drag.preview", at=at, marks=[DRAG])[1]
    while not (answer := page.receive())[0]["done"]:
        reports.append(answer[0])
    assert all(report["seq"] == train for report in reports)
    assert reports[-1]["words"] == "Step 12 of 12"
    assert reports[0]["loss"] > 0
    draw = {"mask": mask, "seed": 0, "count": 1}
    own = page.ask("scribble.draw", **draw, encoder=answer[0]["encoder"])[1]
    assert page.ask("scribble.draw", **draw)[1] != own
    foreign = other.ask("scribble.draw", **draw, encoder=answer[0]["encoder"])[0]
    assert foreign["missing"] == answer[0]["encoder"]


def test_a_job_is_joined_after_a_reload_and_done_once(page: Page, monkeypatch: Any) -> None:
    monkeypatch.setattr("semsynth.studio.drag.INVERSION_STEPS", 30)
    monkeypatch.setattr("semsynth.studio.jobs.BETWEEN_REPORTS", 0)
    photo = page.upload("drag.photo", face(page)[1])
    page.send("drag.photo", upload=photo, job="photo-01")
    first = page.receive()[0]["progress"]
    page.close()
    page.open()
    header, _ = page.ask("drag.photo", upload=photo, job="photo-01")
    assert page.reports[0]["progress"] >= first
    assert header["details"]["steps"] == 30
    page.reports.clear()
    assert page.ask("drag.photo", upload=photo, job="photo-01")[0]["at"] == header["at"]
    assert len(page.reports) <= 1  # the last report, and no work


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inversions that take minutes, and refinements that take none."""
    monkeypatch.setattr("semsynth.studio.drag.INVERSION_STEPS", 100_000)
    monkeypatch.setattr("semsynth.studio.scribble.REFINE_STEPS", 2)


def test_a_job_whose_page_was_closed_soon_ends(
    new_page: Callable[[], Page], endless: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert jobs.GRACE <= 2.5  # the rest of the three seconds is for a step
    monkeypatch.setattr(jobs, "GRACE", 0.1)
    page, other = new_page(), new_page()
    photo, mask = page.upload("drag.photo", face(page)[1]), portrait(other)
    page.send("drag.photo", upload=photo, job="photo-03")
    page.receive()
    page.close()
    assert other.ask("scribble.refine", mask=mask, seed=0, count=1, job="refine-3")[0]["at"]


def test_stop_ends_the_job_that_it_names_and_no_later_one(page: Page, endless: None) -> None:
    photo, mask = page.upload("drag.photo", face(page)[1]), portrait(page)
    running = page.send("drag.photo", upload=photo, job="photo-04")
    queued = page.send("drag.photo", upload=photo, job="photo-05")
    page.send("stop", job="photo-05")
    page.send("stop", job="photo-04")
    later = page.send("scribble.refine", mask=mask, seed=0, count=1, job="refine-4")
    page.send("stop", job="photo-04")
    ends: dict[int, dict[str, Any]] = {}
    while later not in ends:
        header, _ = page.receive()
        if header["done"]:
            ends[header["seq"]] = header
    assert ends[running]["stopped"]
    assert ends[queued]["stopped"]
    assert ends[later]["at"]


def test_photos_and_label_maps_are_uploaded(page: Page) -> None:
    mask = street(page)
    draw = {"mask": mask, "recipes": FOUR}
    upload = page.upload("paint.mask", page.export("paint/mask.png", "paint.draw", **draw).content)
    assert page.ask("paint.mask", upload=upload)[0]["mask"] == mask
    upload = page.upload("paint.photo", page.export("paint/0.png", "paint.draw", **draw).content)
    found = labels(page.ask("paint.photo", upload=upload)[0]["mask"])
    assert (found == labels(mask)).mean() > 0.7  # the segmenter knows streets
    assert page.ask("paint.photo", upload=NOWHERE)[0]["missing"] == NOWHERE


def test_an_upload_that_a_newer_one_replaces_is_answered_409(
    app: FastAPI, page: Page, monkeypatch: Any
) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def slow(data: bytes, size: tuple[int, int], crop: Any) -> Any:
        entered.set()
        assert go_on.wait(5)
        return read_photo(data, size, crop)

    monkeypatch.setattr("semsynth.studio.server.read_photo", slow)
    image = page.export("paint/0.png", "paint.draw", mask=street(page), recipes=FOUR).content

    def post() -> int:
        return page.client.post("/upload/paint.photo", content=image).status_code

    with ThreadPoolExecutor() as pool:
        first = pool.submit(post)
        assert entered.wait(5)
        second = pool.submit(post)
        time.sleep(0.5)
        third = pool.submit(post)
        assert second.result(5) == 409
        go_on.set()
        assert (first.result(5), third.result(5)) == (200, 200)


def test_files_are_exported(page: Page) -> None:
    at = face(page)[0]
    header, _ = page.ask("drag.commit", at=at, marks=[DRAG])
    dragged = {"marks": [DRAG], "reports": header["reports"]}
    steps = [
        {"kind": "sample", "at": at, "details": {"seed": 13, "truncation": 0.7}},
        {"kind": "drag", "at": header["at"], "details": dragged},
    ]

    def get(name: str) -> Any:
        return page.export(f"drag/{name}", "drag.export", steps=steps)

    assert pixels(get("edit.png").content).shape == (64, 64, 3)
    film = Image.open(io.BytesIO(get("edit.gif").content))
    assert film.n_frames == 9  # type: ignore[attr-defined]
    history = get("edit.json")
    assert [step["kind"] for step in history.json()["steps"]] == ["sample", "drag"]
    assert "attachment" in history.headers["content-disposition"]
    draw = {"mask": street(page), "recipes": FOUR}
    packed = page.export("paint/all.zip", "paint.draw", **draw).content
    files = zipfile.ZipFile(io.BytesIO(packed)).namelist()
    assert files == ["mask.png", *(f"image_{i}.png" for i in range(4))]
    assert page.export("paint/9.png", "paint.draw", **draw).status_code == 422
    assert page.export("drag/..%2f..%2fetc.png", "paint.draw", **draw).status_code == 404
    steps[0]["at"] = NOWHERE
    assert get("edit.png").status_code == 410


def test_two_visitors_share_nothing(new_page: Callable[[], Page]) -> None:
    one, two = new_page(), new_page()
    at = face(one)[0]
    photo = one.upload("drag.photo", one.ask("drag.show", at=at)[1][0])
    assert two.ask("drag.show", at=at)[0]["missing"] == at
    assert two.ask("drag.photo", upload=photo, job="photo-02")[0]["missing"] == photo


def test_two_windows_of_one_visitor_do_not_supersede_each_other(
    new_page: Callable[[], Page], app: FastAPI
) -> None:
    one, two = new_page(), Page(app)
    two.client.cookies = one.client.cookies
    two.open()
    at = face(one)[0]
    for page in [one, two] * 6:
        page.send("drag.preview", at=at, marks=[DRAG], closed_loop=True)
    for page in (one, two):
        answers = [page.receive() for _ in range(6)]
        assert answers[-1][1]  # the newest of each window is drawn
    two.close()


def test_without_the_cookie_nothing_is_told(app: FastAPI) -> None:
    page = Page(app)
    page.client.cookies.clear()
    assert page.client.post("/export/paint/mask.png").status_code == 401
    assert page.client.post("/upload/paint.mask", content=b"").status_code == 401
    with page.client.websocket_connect(SOCKET) as socket:
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_bytes()
        assert closed.value.code == 4401


def test_a_malformed_cookie_is_replaced(app: FastAPI) -> None:
    page = Page(app)
    for cookie in ("short", "a" * 44, "../" + "a" * 40):
        page.client.cookies.clear()
        headers = {"Cookie": f"semsynth_session={cookie}"}
        answer = page.client.post("/upload/paint.mask", content=b"", headers=headers)
        assert answer.status_code == 400
        assert KEY.fullmatch(page.client.cookies["semsynth_session"])
        page.client.cookies.clear()
        page.client.get("/", headers=headers)
        assert KEY.fullmatch(page.client.cookies["semsynth_session"])


def test_who_comes_too_many_is_told_so(models: Models) -> None:
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
    assert set(outcomes) <= {
        "closed",
        "400",
        "401",
        "404",
        "405",
        "410",
        "413",
        "415",
        "422",
        "429",
    }
    assert outcomes["closed"] > 200
    assert face(page.open())[1]  # it still serves
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
    blank = base64.b64encode(bytes(64 * 64)).decode()
    good: list[dict[str, Any]] = [
        {"type": "drag.preview", "at": NOWHERE, "marks": [{"x": 5, "y": 5, "dx": 4, "dy": 4}]},
        {"type": "drag.sample", "seed": 1},
        {"type": "paint.draw", "mask": blank, "recipes": [{"seed": 1}]},
        {"type": "annotate.train", "mask": blank, "seed": 1, "steps": 20, "job": "train-00"},
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
        return json.dumps({"seq": 1, "type": "drag.commit", "at": NOWHERE, "marks": [mark]})
    if kind == 6:  # marks without end
        marks = [{"x": 5, "y": 5}] * rng.choice([0, 65, 2000])
        return json.dumps({"seq": 1, "type": "drag.preview", "at": NOWHERE, "marks": marks})
    if kind == 7:  # label maps of another size, or of classes that there are not
        data = bytes(size) if rng.random() < 0.5 else bytes([200] * 64 * 64)
        text = base64.b64encode(data).decode()
        message = {"type": "paint.draw", "mask": text, "recipes": [{"seed": 1}]}
        return json.dumps({"seq": 1, **message})
    change = rng.choice(
        [{"label": 200, "seed": 1}, {"level": 99, "seed": 1}, {"label": 0}, {"reference": NOWHERE}]
    )
    nothing_there: list[dict[str, Any]] = [
        {"type": "paint.mask", "upload": NOWHERE},
        {"type": "drag.photo", "upload": NOWHERE, "job": "photo-00"},
        {"type": "drag.show", "at": NOWHERE},
        {"type": "paint.draw", "mask": blank, "recipes": [{"seed": 1, "changes": [change]}]},
        {"type": "scribble.draw", "mask": blank, "seed": 1, "count": 1, "encoder": NOWHERE},
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
            "/export/drag/edit.png",
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
    method = (
        "POST"
        if path.startswith(("/upload", "/export"))
        else rng.choice(["GET", "POST", "PUT", "DELETE"])
    )
    headers = {"Content-Type": rng.choice(["image/png", "application/json", "\x7f"])}
    body = b"\x89PNG\r\n\x1a\n" * rng.randrange(2) + rng.randbytes(rng.randrange(300))
    return str(page.client.request(method, path, content=body, headers=headers).status_code)
