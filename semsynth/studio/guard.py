"""Access control: host, origin and, where needed, token; and security headers."""

import hmac
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

TOKEN_COOKIE = "semsynth_token"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
LOCAL = ("127.0.0.1", "localhost", "::1")


class Guard:
    """Middleware before the application.

    A request must name an expected host, against DNS rebinding; its origin, if given, must be this
    page; and if the studio listens beyond this machine, it must carry the token, in the cookie that
    opening ``/?token=...`` sets.

    Args:
        app: The application.
        hosts: Names under which the studio may be addressed; any if empty.
        token: The token; none is needed if empty.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = LOCAL, token: str = "") -> None:
        self.app, self.hosts, self.token = app, frozenset(hosts), token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        if (refusal := self._refusal(scope)) is not None:
            if scope["type"] == "websocket":
                await WebSocketClose(1008, "refused")(scope, receive, send)
            else:
                await refusal(scope, receive, with_headers(send))
            return
        await self.app(scope, receive, with_headers(send))

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self.hosts and hostname(host) not in self.hosts:
            return PlainTextResponse("The studio does not serve this host.", 421)
        origin = headers.get("origin")
        if origin is not None and (place := netloc(origin)) != host:
            if place is None:
                return PlainTextResponse("The origin is malformed.", 400)
            return PlainTextResponse("Cross-origin requests are refused.", 403)
        if not self.token:
            return None
        given = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1"))).get("token")
        if scope["type"] == "http" and scope["path"] == "/" and given and self._is_token(given):
            response = RedirectResponse("/", 303)
            response.set_cookie(TOKEN_COOKIE, given, httponly=True, samesite="strict")
            return response
        if not self._is_token(cookie_of(headers, TOKEN_COOKIE)):
            return PlainTextResponse("Open the address with the token that the command shows.", 401)
        return None

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())


def hostname(host: str) -> str:
    """The name in a Host header, without the port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def netloc(origin: str) -> str | None:
    """Host and port in an Origin header; None if it is malformed."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def cookie_of(headers: Headers, name: str) -> str:
    """Value of a cookie; empty without it."""
    try:
        cookie: SimpleCookie = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookie[name].value if name in cookie else ""


def with_headers(send: Send) -> Send:
    """Add the security headers to responses."""

    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return wrapped
