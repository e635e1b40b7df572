import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra studio")

import torch
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from semsynth.studio.models import Models, load_painter
from semsynth.studio.server import build_app
from tests.studio.screen import settle
from tests.studio.small import checkpoint
from tests.studio.visitor import Page


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """What ships, and after it an untrained model of sea and sand."""
    torch.set_num_threads(1)
    shipped = Models.load(device="cpu")
    run = tmp_path_factory.mktemp("sea")
    path = checkpoint(run)
    (run / "classes.json").write_text('["sea", "sand"]')
    (run / "config.yaml").write_text("seed_everything: 1")
    second = load_painter(str(path), torch.device("cpu"))
    return replace(shipped, paint=(*shipped.paint, second), first="drag")


@pytest.fixture
def app(models: Models) -> Iterator[FastAPI]:
    app = build_app(models)
    with TestClient(app, base_url="http://127.0.0.1") as client:  # starts and ends the workers
        app.state.portal = client.portal  # one event loop for all pages, as in a server
        yield app


@pytest.fixture
def new_page(app: FastAPI) -> Iterator[Callable[[], Page]]:
    """Makes visitors, each with a socket."""
    pages: list[Page] = []

    def make() -> Page:
        pages.append(Page(app).open())
        return pages[-1]

    yield make
    for page in pages:
        page.close()


@pytest.fixture
def page(new_page: Callable[[], Page]) -> Page:
    return new_page()


@contextmanager
def serve(models: Models, port: int = 0) -> Iterator[str]:
    """Address of a studio that runs in a thread of this process."""
    with socket.create_server(("127.0.0.1", port)) as listening:
        config = uvicorn.Config(
            build_app(models, most_visitors=200),  # each context of the browser is one
            log_level="warning",
            ws="websockets-sansio",
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        server.should_exit = True
        thread.join(timeout=20)


@pytest.fixture(scope="session")
def address(models: Models) -> Iterator[str]:
    """Address of a studio for all tests."""
    with serve(models) as address:
        yield address


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium, headless."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright (the extra dev)")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Callable[[str], Any]]:
    """Opens a tab of the studio as a new visitor; errors of the page fail the test."""
    contexts: list[Any] = []
    errors: list[str] = []

    def complain(kind: str, text: str) -> None:
        if kind == "error" and "415" not in text:  # a refused file is told to the visitor
            errors.append(text)

    def open_tab(tab: str) -> Any:
        contexts.append(browser.new_context(viewport={"width": 1360, "height": 900}))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: complain(message.type, message.text))
        page.goto(f"{address}#/{tab}")
        page.wait_for_selector("body[data-ready='1']")
        settle(page)
        return page

    yield open_tab
    for context in contexts:
        context.close()
    assert not errors
