"""Fetching against a server of this machine."""

import dataclasses
import hashlib
import multiprocessing
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from semsynth.weights import download, locate
from semsynth.weights.registry import DOWNLOADS, WeightsFile

CONTENT = bytes(range(256)) * 4096  # a megabyte
NAME = "toy"


class Server(ThreadingHTTPServer):
    """Serves ``CONTENT``; counts and can be told to misbehave."""

    content = CONTENT
    stops_after: int | None = None
    delay = 0.0
    knows_ranges = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.starts: list[int] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that hangs up is what the tests want."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/toy.pt"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked.group(1)) if asked and self.server.knows_ranges else 0
        self.server.starts.append(start)
        time.sleep(self.server.delay)
        body = self.server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.stops_after])

    def log_message(self, *args: Any) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def entry_of(server: Server) -> WeightsFile:
    digest = hashlib.sha256(CONTENT).hexdigest()
    return WeightsFile("toy.pt", server.address, digest, len(CONTENT), "none", "tests")


@pytest.fixture
def folder(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where weights go; nothing is there yet."""
    for variable in ("SEMSYNTH_WEIGHTS", "TORCH_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "weights"))
    monkeypatch.setitem(DOWNLOADS, NAME, entry_of(server))
    return tmp_path / "weights"


def left_behind(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if not p.name.endswith(".lock"))


def test_file_is_fetched_whole_and_only_once(server: Server, folder: Path) -> None:
    for _ in range(2):
        assert download.fetch(NAME) == folder / "toy.pt"
    assert (folder / "toy.pt").read_bytes() == CONTENT
    assert left_behind(folder) == ["toy.pt"]
    assert server.starts == [0]
    assert locate(NAME) == folder / "toy.pt"


def test_download_that_broke_off_goes_on_where_it_stopped(server: Server, folder: Path) -> None:
    server.stops_after = 300_000
    with pytest.raises(download.FetchError, match=r"300,000 of 1,048,576 bytes.*Rerun"):
        download.fetch(NAME)
    assert locate(NAME) is None
    server.stops_after = None
    download.fetch(NAME)
    assert (folder / "toy.pt").read_bytes() == CONTENT
    assert server.starts == [0, 300_000]


@pytest.mark.parametrize(
    ("name", "found", "ranges", "starts"),
    [
        (".toy.pt.part", CONTENT[:1000], False, [0]),
        (".toy.pt.part", b"x" * 1000, True, [1000, 0]),
        ("toy.pt", CONTENT[:1000], True, [0]),
    ],
    ids=["server without ranges", "wrong beginning", "damaged file"],
)
def test_what_is_there_and_of_no_use_is_downloaded_from_the_first_byte(
    server: Server, folder: Path, name: str, found: bytes, ranges: bool, starts: list[int]
) -> None:
    server.knows_ranges = ranges
    folder.mkdir()
    (folder / name).write_bytes(found)
    download.fetch(NAME)
    assert (folder / "toy.pt").read_bytes() == CONTENT
    assert server.starts == starts


def test_wrong_file_is_refused_and_deleted(server: Server, folder: Path) -> None:
    server.content = CONTENT[:-1] + b"x"
    with pytest.raises(download.FetchError, match=r"wrong file and it was deleted.*checksum"):
        download.fetch(NAME)
    assert left_behind(folder) == []


def fetch_in_child(known: WeightsFile, results: Any) -> None:
    DOWNLOADS[NAME] = known
    results.put(download.fetch(NAME).read_bytes() == CONTENT)


def test_two_processes_at_once_download_once(server: Server, folder: Path) -> None:
    server.delay = 1.0
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    children = [
        context.Process(target=fetch_in_child, args=(DOWNLOADS[NAME], results)) for _ in range(2)
    ]
    for child in children:
        child.start()
    assert [results.get(timeout=20) for _ in children] == [True, True]
    for child in children:
        child.join()
    assert server.starts == [0]


def test_no_network_is_said_at_once_with_another_way(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = dataclasses.replace(DOWNLOADS[NAME], address="http://127.0.0.1:9/toy.pt")
    monkeypatch.setitem(DOWNLOADS, NAME, known)
    started = time.monotonic()
    with pytest.raises(download.FetchError, match=r"refused.*weights import FILE --as toy"):
        download.fetch(NAME)
    assert time.monotonic() - started < 2


def test_silent_server_is_given_up(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.delay = 3.0
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    started = time.monotonic()
    with pytest.raises(download.FetchError, match="timed out"):
        download.fetch(NAME)
    assert time.monotonic() - started < 2


def test_hub_out_of_reach_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    started = time.monotonic()
    with pytest.raises(download.FetchError, match=r"127\.0\.0\.1:9 could not be fetched"):
        download.fetch("hf:nobody/nothing")
    assert time.monotonic() - started < 2


def test_right_file_is_imported_and_a_wrong_one_is_not(folder: Path, tmp_path: Path) -> None:
    brought = tmp_path / "brought.pt"
    brought.write_bytes(CONTENT[::-1])
    with pytest.raises(download.FetchError, match="not imported as toy"):
        download.import_file(brought, NAME)
    brought.write_bytes(CONTENT)
    assert download.import_file(brought, NAME).read_bytes() == CONTENT
    assert left_behind(folder) == ["toy.pt"]


def test_only_the_first_process_of_a_job_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("RANK", "SLURM_PROCID", "LOCAL_RANK"):
        monkeypatch.delenv(variable, raising=False)
    assert download.is_first_process()
    monkeypatch.setenv("SLURM_PROCID", "1")
    assert not download.is_first_process()


def test_names_of_torch_files_hold_the_start_of_their_checksum() -> None:
    for known in DOWNLOADS.values():
        if found := re.search(r"-([0-9a-f]{8})\.pth$", known.file):
            assert known.sha256.startswith(found.group(1))
        assert re.fullmatch(r"[0-9a-f]{64}", known.sha256)
