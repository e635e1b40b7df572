"""Whatever a page sends, the studio answers it, refuses it or closes the socket; nothing fails."""

import base64
import json
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, get_args

import pytest
from fastapi import FastAPI
from pydantic import ValidationError
from starlette.websockets import WebSocketDisconnect

from semsynth.studio.messages import AnyMessage, parse
from tests.studio.visitor import Page

MESSAGES = 2000
KINDS = [
    (kind, name)
    for kind in get_args(get_args(AnyMessage)[0])
    for name in get_args(kind.model_fields["type"].annotation)
    if name not in ("annotate.train", "scribble.refine")  # their work takes seconds
]


def key(random: Random) -> str:
    """A key of something that the studio may or may not have."""
    return f"{random.choice([0, random.randrange(2**128)]):032x}"


def recipe(random: Random) -> dict[str, Any]:
    """A seed, and perhaps a change of style."""
    change = {"label": random.choice([None, 0, 3, 255]), "seed": random.randrange(9)}
    return {"seed": random.randrange(2**32), "changes": random.choice([[], [change]])}


VALUES: dict[str, Callable[[Random], Any]] = {
    "at": key,
    "encoder": lambda r: r.choice([None, key(r)]),
    "job": lambda r: f"job-{r.randrange(10**8):08d}",
    "model": lambda r: r.choice(["", "", "", f"{r.randrange(2**64):016x}"]),
    "recipes": lambda r: [recipe(r)],
    "region": lambda r: r.choice([None, key(r)]),
    "steps": lambda r: [{"kind": r.choice(["sample", "drag", "reset"]), "at": key(r)}],
    "upload": key,
    "marks": lambda r: [
        {key: r.uniform(-9, 70) for key in ("x", "y", "dx", "dy")} for _ in range(r.randint(1, 3))
    ],
    "mask": lambda r: base64.b64encode(r.randbytes(1) * r.choice([64 * 64, 64, 1])).decode(),
    "seed": lambda r: r.randrange(2**32),
    "count": lambda r: 1,
    "closed_loop": lambda r: r.random() < 0.2,
    "kind": lambda r: r.choice(["scribbles", "landmarks", "dense"]),
}
ODD: list[Any] = [None, -1, 2**64, 1e400, "", "\0", [], {}, [[[]]], True, "x" * 9000, float("nan")]


def sound(random: Random, number: int) -> dict[str, Any]:
    """A message that the page could send."""
    kind, name = random.choice(KINDS)
    own = (field for field in kind.model_fields if field not in ("seq", "type"))
    return {"seq": number, "type": name} | {field: VALUES[field](random) for field in own}


def spoilt(message: dict[str, Any], random: Random) -> str:
    """The message with one value changed, lost or added, or with bytes changed or cut off."""
    key = random.choice([*message, "more"])
    text = json.dumps(message)
    place = random.randrange(len(text))
    return random.choice(
        [
            json.dumps(message | {key: random.choice(ODD)}),
            json.dumps({k: v for k, v in message.items() if k != key}),
            text[:place],
            text[:place] + chr(random.randrange(256)) + text[place + 1 :],
            "[" * random.randrange(2, 5000) + text,
        ]
    )


def fuzzed() -> list[str]:
    """Nine in ten are spoilt; some of these are still sound."""
    random = Random(0)
    made = (sound(random, number) for number in range(MESSAGES))
    return [spoilt(m, random) if random.random() < 0.9 else json.dumps(m) for m in made]


def test_fuzzed_messages_are_read_or_refused() -> None:
    read = Counter[bool]()
    for text in fuzzed():
        try:
            parse(text)
        except ValidationError:
            read[False] += 1
        else:
            read[True] += 1
    assert min(read.values()) > MESSAGES // 10


@pytest.mark.slow  # draws hundreds of images
def test_fuzzed_messages_are_answered_or_end_the_conversation(app: FastAPI) -> None:
    page, ends, codes = Page(app).open(), Counter[str](), Counter[int]()
    for text in fuzzed():
        page.socket.send_text(text)
        try:
            header: dict[str, Any] = {"done": False}
            while not header["done"]:
                header, _ = page.receive()
            ends["refused" if "error" in header else "answered"] += 1
            assert header.get("status", 422) in (410, 422), (
                text,
                header,
            )  # 410: what it names is gone
        except WebSocketDisconnect as end:
            ends["closed"] += 1
            codes[end.code] += 1
            page.stack.pop_all()
            page.open()
    page.close()
    print(f"{MESSAGES} fuzzed messages: {dict(ends)}")
    assert sum(ends.values()) == MESSAGES
    assert set(codes) == {1008}
