"""The files of the page, compressed; a browser keeps them until one changes."""

import gzip
import hashlib
import os
from pathlib import Path

from fastapi import Request, Response
from fastapi.staticfiles import StaticFiles
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Scope

PAGE = Path(__file__).parent / "page"
PLACE = "/static/"  # as index.html writes it
FOREVER = "private, max-age=31536000, immutable"  # the address changes with the files


class KeptFiles(StaticFiles):
    """Static files that a browser need not ask for again."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """The response of one file."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = FOREVER
        return response


class PageFiles:
    """The page: ``index.html``, and the files that it names, under an address of their version."""

    def __init__(self, directory: Path = PAGE) -> None:
        files = sorted(path for path in directory.rglob("*") if path.is_file())
        version = hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:12]
        self.place = f"{PLACE}{version}"
        self.files: ASGIApp = GZipMiddleware(KeptFiles(directory=directory), minimum_size=512)
        modules = [path.relative_to(directory) for path in files if path.parent.name == "js"]
        # all at once, instead of each when another one has named it
        links = "\n".join(
            f'<link rel="modulepreload" href="{PLACE}{m.as_posix()}">' for m in modules
        )
        text = (directory / "index.html").read_text()
        text = text.replace("</head>", f"{links}\n</head>").replace(PLACE, f"{self.place}/")
        self._plain = text.encode()
        self._packed = gzip.compress(self._plain, mtime=0)

    def index(self, request: Request, headers: dict[str, str]) -> Response:
        """``index.html``, with these headers."""
        headers = {**headers, "Vary": "Accept-Encoding"}
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(self._plain, media_type="text/html", headers=headers)
        headers["Content-Encoding"] = "gzip"
        return Response(self._packed, media_type="text/html", headers=headers)
