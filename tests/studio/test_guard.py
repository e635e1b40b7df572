import pytest
from fastapi.testclient import TestClient
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from semsynth.studio.guard import HEADERS, Guard


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        socket = WebSocket(scope, receive, send)
        await socket.accept()
        await socket.close()
        return
    await PlainTextResponse("in")(scope, receive, send)


def client(host: str = "127.0.0.1:7860", **options: str) -> TestClient:
    return TestClient(Guard(inside, **options), base_url=f"http://{host}")


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:7860", 200), ("localhost", 200), ("[::1]:7860", 200), ("evil.example", 421)],
)
def test_this_machine_is_let_in_by_its_names_alone(host: str, status: int) -> None:
    assert client(host).get("/").status_code == status


def test_requests_of_other_pages_are_refused() -> None:
    headers = {"Origin": "http://evil.example"}
    assert client().post("/upload/x", headers=headers).status_code == 403
    with (
        pytest.raises(WebSocketDisconnect),
        client().websocket_connect("/socket", headers=headers) as socket,
    ):
        socket.receive_text()


def test_a_malformed_origin_is_answered_400() -> None:
    assert client().post("/", headers={"Origin": "http://["}).status_code == 400
    with (
        pytest.raises(WebSocketDisconnect),
        client().websocket_connect("/socket", headers={"Origin": "http://["}) as socket,
    ):
        socket.receive_text()


def test_requests_of_the_page_itself_are_let_in() -> None:
    assert client().post("/", headers={"Origin": "http://127.0.0.1:7860"}).text == "in"


def test_every_answer_has_the_safe_headers() -> None:
    for answer in (client().get("/"), client("evil.example").get("/")):
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS


def test_a_token_is_asked_for_and_kept_in_a_cookie() -> None:
    visitor = client("10.0.0.5", token="secret", hosts="")
    assert visitor.get("/").status_code == 401
    assert visitor.get("/?token=wrong").status_code == 401
    assert visitor.get("/other?token=secret").status_code == 401
    opened = visitor.get("/?token=secret", follow_redirects=False)
    assert (opened.status_code, opened.headers["location"]) == (303, "/")
    assert "HttpOnly" in opened.headers["set-cookie"]
    assert visitor.get("/").text == "in"
