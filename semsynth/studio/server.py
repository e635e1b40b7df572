"""The server: the page, a socket per open page, uploads and downloads."""

import re
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Literal

from fastapi import Cookie, FastAPI, HTTPException, Request, Response, WebSocket
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from torch import Tensor

from semsynth.editing import EditError
from semsynth.studio.answers import TabError
from semsynth.studio.conversation import Conversation, in_worker
from semsynth.studio.guard import LOCAL, Guard
from semsynth.studio.models import Models
from semsynth.studio.uploads import MAX_BYTES, UploadError, read_labels, read_photo
from semsynth.studio.visitors import FullError, Visitor, Visitors
from semsynth.studio.worker import BusyError, Worker

PAGE = Path(__file__).parent / "page"
SESSION_COOKIE = "semsynth_session"
YEAR = 365 * 86400
MEDIA_TYPES = {
    "png": "image/png",
    "gif": "image/gif",
    "mp4": "video/mp4",
    "json": "application/json",
    "zip": "application/zip",
}

OF_IMAGES = re.compile(r"(mask|[0-9]{1,3})\.png|all\.zip")
FILES = {"paint": OF_IMAGES, "scribble": OF_IMAGES, "drag": re.compile(r"edit\.(png|gif|mp4|json)")}

Session = Annotated[str, Cookie(alias=SESSION_COOKIE)]
Purpose = Literal["paint.mask", "paint.photo", "paint.reference", "scribble.mask", "drag.photo"]


def build_app(
    models: Models,
    token: str = "",
    hosts: Iterable[str] = LOCAL,
    most_visitors: int = 32,
    idle: float = 1800.0,
) -> FastAPI:
    """The application, open to all without ``token`` and ``hosts``; ``idle`` is in seconds."""
    worker = Worker()
    visitors = Visitors(models, most_visitors, idle)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        worker.close()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, hosts=hosts, token=token)
    app.mount("/static", StaticFiles(directory=PAGE), name="static")

    def visitor_of(key: str) -> Visitor:
        try:
            return visitors.enter(key)
        except KeyError:
            raise HTTPException(401, "Open the page first.") from None
        except FullError as error:
            raise HTTPException(503, str(error)) from error

    @app.get("/")
    async def page(session: Session = "") -> Response:
        """The page, and the cookie that identifies a visitor."""
        response = FileResponse(PAGE / "index.html")
        key = session or secrets.token_urlsafe(32)
        response.set_cookie(SESSION_COOKIE, key, YEAR, httponly=True, samesite="strict")
        return response

    @app.post("/upload/{purpose}")
    async def upload(purpose: Purpose, request: Request, session: Session = "") -> dict[str, int]:
        """Accept a photo or a label map and return its number."""
        visitor = visitor_of(session)
        data = await body_of(request)
        try:
            decoded = await in_worker(
                worker, lambda: decode(visitor, purpose, data), visitor, "upload"
            )
        except UploadError as error:
            raise HTTPException(415, str(error)) from error
        except BusyError as error:
            raise HTTPException(429, str(error)) from error
        return {"upload": visitor.keep(decoded)}

    @app.get("/export/{tab}/{name}")
    async def export(
        tab: Literal["paint", "scribble", "drag"], name: str, session: Session = ""
    ) -> Response:
        """A download."""
        visitor = visitor_of(session)
        if not FILES[tab].fullmatch(name):
            raise HTTPException(404, "There is no such file.")
        try:
            content = await in_worker(worker, lambda: getattr(visitor, tab).export(name), visitor)
        except (EditError, TabError) as error:
            raise HTTPException(404, str(error)) from error
        except BusyError as error:
            raise HTTPException(429, str(error)) from error
        disposition = {"Content-Disposition": f'attachment; filename="semsynth_{tab}_{name}"'}
        return Response(
            content, media_type=MEDIA_TYPES[name.rpartition(".")[2]], headers=disposition
        )

    @app.websocket("/socket")
    async def socket(connection: WebSocket, session: Session = "") -> None:
        """The conversation with a page."""
        try:
            visitor = visitors.enter(session)
        except (KeyError, FullError) as error:
            full = isinstance(error, FullError)
            await connection.accept()  # else the page could not read the reason
            await connection.close(4503 if full else 4401, str(error) if full else "no session")
            return
        await Conversation(connection, visitor, worker, visitors).run()

    return app


async def body_of(request: Request) -> bytes:
    """The body of a request, read up to the size limit."""
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > MAX_BYTES:
            raise HTTPException(413, f"Files may have at most {MAX_BYTES // 2**20} MB.")
    return bytes(data)


def decode(visitor: Visitor, purpose: Purpose, data: bytes) -> Tensor:
    """The photo or label map in a file, at the model's size."""
    models = visitor.models
    if purpose == "drag.photo":
        side = models.drag.canvas.generator.image_size
        return read_photo(data, (side, side))
    if purpose == "scribble.mask":
        return read_labels(data, models.scribble.method.image_size, models.scribble.space)
    size = visitor.paint.size
    if purpose == "paint.mask":
        return read_labels(data, size, models.paint.space)
    return read_photo(data, size)
