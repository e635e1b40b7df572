"""A visitor without a browser, and files that a bad one brings."""

import json
import struct
import zlib
from contextlib import ExitStack
from typing import Any, Self

from fastapi import FastAPI
from fastapi.testclient import TestClient

from semsynth.studio.answers import unpack

SOCKET = "ws://127.0.0.1/socket"
Answer = tuple[dict[str, Any], list[bytes]]


class Page:
    """The page without a browser: a cookie and a socket."""

    def __init__(self, app: FastAPI) -> None:
        self.client = TestClient(app, base_url="http://127.0.0.1")
        self.client.portal = getattr(app.state, "portal", None)
        self.client.get("/")
        self.seq = 0
        self.stack = ExitStack()
        self.reports: list[dict[str, Any]] = []

    def open(self) -> Self:
        self.socket = self.stack.enter_context(self.client.websocket_connect(SOCKET))
        return self

    def close(self) -> None:
        self.stack.close()

    def send(self, message: str, /, **fields: Any) -> int:
        self.seq += 1
        self.socket.send_text(json.dumps({"seq": self.seq, "type": message, **fields}))
        return self.seq

    def upload(self, purpose: str, content: bytes) -> str:
        """The key of an uploaded file."""
        key: str = self.client.post(f"/upload/{purpose}", content=content).json()["upload"]
        return key

    def export(self, path: str, message: str, /, **fields: Any) -> Any:
        """The response to a download of what a message describes."""
        body = {"seq": 0, "type": message, **fields}
        return self.client.post(f"/export/{path}", json=body)

    def receive(self) -> Answer:
        return unpack(self.socket.receive_bytes())

    def ask(self, message: str, /, **fields: Any) -> Answer:
        """The answer to a message; reports on the way to it are kept in ``reports``."""
        seq = self.send(message, **fields)
        while True:
            header, images = self.receive()
            if header["seq"] == seq and header["done"]:
                return header, images
            self.reports.append(header)


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def black_png(width: int, height: int, extra: bytes = b"", rows: int | None = None) -> bytes:
    """A grey PNG, made without holding its pixels.

    Args:
        width: Width in its head.
        height: Height in its head.
        extra: Chunks before the pixels.
        rows: Rows that are in it; ``height`` if not given.
    """
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    packer = zlib.compressobj(1)
    row = bytes(width + 1)
    parts = [packer.compress(row) for _ in range(height if rows is None else rows)]
    pixels = chunk(b"IDAT", b"".join([*parts, packer.flush()]))
    return b"\x89PNG\r\n\x1a\n" + head + extra + pixels + chunk(b"IEND", b"")
