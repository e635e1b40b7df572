"""The server: the page, a socket per open page, uploads and downloads."""

import logging
import re
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import Cookie, FastAPI, HTTPException, Request, Response, WebSocket
from pydantic import ValidationError
from starlette.requests import ClientDisconnect
from torch import Tensor

from semsynth.studio.conversation import Conversation, in_worker
from semsynth.studio.guard import LOCAL, Guard
from semsynth.studio.labels import labels_of
from semsynth.studio.layers import read_packed, region_of_bytes
from semsynth.studio.messages import DragExport, Message, PaintDraw, ScribbleDraw
from semsynth.studio.models import Models
from semsynth.studio.page_files import PageFiles
from semsynth.studio.store import MissingError
from semsynth.studio.uploads import (
    MAX_BYTES,
    Crop,
    UploadError,
    read_labels,
    read_latents,
    read_photo,
)
from semsynth.studio.visitors import KEY, FullError, Visitor, Visitors, chosen
from semsynth.studio.worker import BusyError, SupersededError, Workers

logger = logging.getLogger(__name__)
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
FILES: dict[str, tuple[re.Pattern[str], type[Message]]] = {
    "paint": (OF_IMAGES, PaintDraw),
    "scribble": (OF_IMAGES, ScribbleDraw),
    "drag": (re.compile(r"edit\.(png|gif|mp4|json)"), DragExport),
}

Session = Annotated[str, Cookie(alias=SESSION_COOKIE)]
Purpose = Literal[
    "paint.mask",
    "paint.photo",
    "paint.reference",
    "paint.labels",
    "scribble.mask",
    "scribble.latents",
    "drag.photo",
    "drag.latents",
    "drag.region",
]
KEPT = {
    "paint.labels",
    "scribble.latents",
    "drag.latents",
    "drag.region",
}  # what a page has had from here


def build_app(
    models: Models,
    token: str = "",
    hosts: Iterable[str] = LOCAL,
    most_visitors: int = 32,
    idle: float = 1800.0,
) -> FastAPI:
    """The application, open to all without ``token`` and ``hosts``; ``idle`` is in seconds."""
    workers = Workers.start()
    visitors = Visitors(models, most_visitors, idle)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        visitors.stop_jobs()
        workers.close()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, hosts=hosts, token=token)
    files = PageFiles()
    app.mount(files.place, files.files)

    def visitor_of(key: str) -> Visitor:
        try:
            return visitors.enter(key)
        except KeyError:
            if not key:
                raise HTTPException(401, "Open the page first.") from None
            raise HTTPException(400, "The cookie is malformed; it was replaced.", fresh()) from None
        except FullError as error:
            raise HTTPException(503, str(error)) from error

    @app.get("/")
    async def page(request: Request, session: Session = "") -> Response:
        """The page, and the cookie that identifies a visitor."""
        return files.index(request, fresh(session if KEY.fullmatch(session) else None))

    @app.post("/upload/{purpose}")
    async def upload(
        purpose: Purpose,
        request: Request,
        session: Session = "",
        crop: str = "",
        model: str = "",
    ) -> dict[str, str]:
        """Accept a file, or a crop of it, or what a page has kept, for a model; return its key."""
        visitor = visitor_of(session)
        data = await body_of(request)
        kind = None if purpose in KEPT else f"upload {purpose}"
        with refusals():
            decoded = await in_worker(
                workers.files, lambda: decode(visitor, purpose, data, crop, model), visitor, kind
            )
        return {"upload": visitor.store.put(decoded)}

    @app.post("/export/{tab}/{name}")
    async def export(
        tab: Literal["paint", "scribble", "drag"],
        name: str,
        request: Request,
        session: Session = "",
    ) -> Response:
        """A file of what the message in the body describes."""
        visitor = visitor_of(session)
        pattern, kind = FILES[tab]
        if not pattern.fullmatch(name):
            raise HTTPException(404, "There is no such file.")
        body = await body_of(request)
        with refusals():
            message = kind.model_validate_json(body)
            tabs: dict[str, Any] = getattr(visitor, tab)
            work = partial(chosen(tabs, message.model).export, name, message)
            content = await in_worker(workers.files, work, visitor)
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
        await Conversation(connection, visitor, workers, visitors).run()

    return app


def fresh(key: str | None = None) -> dict[str, str]:
    """The header that sets the cookie of a visitor, a new one by default."""
    response = Response()
    value = key or secrets.token_urlsafe(32)
    response.set_cookie(SESSION_COOKIE, value, YEAR, httponly=True, samesite="strict")
    return {"Set-Cookie": response.headers["set-cookie"]}


@contextmanager
def refusals() -> Iterator[None]:
    """Errors of a request as answers."""
    try:
        yield
    except UploadError as error:
        raise HTTPException(415, str(error)) from error
    except SupersededError as error:
        raise HTTPException(409, "A newer upload replaced this one.") from error
    except BusyError as error:
        raise HTTPException(429, str(error)) from error
    except MissingError as error:
        raise HTTPException(410, {"missing": error.key, "error": str(error)}) from error
    except (ValidationError, RecursionError) as error:
        raise HTTPException(422, "The request is invalid.") from error
    except ValueError as error:  # of methods and tabs, for the visitor
        raise HTTPException(422, str(error)) from error


async def body_of(request: Request) -> bytes:
    """The body of a request, read up to the size limit."""
    data = bytearray()
    try:
        async for part in request.stream():
            data += part
            if len(data) > MAX_BYTES:
                raise HTTPException(413, f"Files may have at most {MAX_BYTES // 2**20} MB.")
    except ClientDisconnect:
        logger.warning("An upload was aborted after %d bytes.", len(data))
        raise HTTPException(400, "The upload was aborted.") from None
    return bytes(data)


def decode(visitor: Visitor, purpose: Purpose, data: bytes, crop: str, model: str) -> Tensor:
    """The photo, label map or latents in a body, at the model's size."""
    part = Crop.parse(crop) if crop else None
    tab, _, what = purpose.partition(".")
    if tab == "drag":
        canvas = chosen(visitor.drag, model).model.canvas
        if what == "latents":
            return read_packed(data, canvas)
        if what == "region":
            return region_of_bytes(data, canvas)
        side = canvas.generator.image_size
        return read_photo(data, (side, side), part)
    if tab == "scribble":
        scribbler = chosen(visitor.scribble, model).model
        if what == "latents":
            G = scribbler.method.generator
            return read_latents(data, (G.num_ws, G.w_dim))
        return read_labels(data, scribbler.method.image_size, scribbler.space, part)
    painting = chosen(visitor.paint, model)
    match what:
        case "mask":
            return read_labels(data, painting.size, painting.model.space, part)
        case "labels":
            return labels_of(data, painting.size, painting.model.space)
    return read_photo(data, painting.size, part)
