import base64
import json
from typing import Any

import pytest
from pydantic import ValidationError

from semsynth.studio.messages import DragMarks, PaintDraw, parse

RECIPES = [{"seed": 1}]
AT = "0" * 32
MARK = {"x": 1.0, "y": 2, "dx": 3.5}


def message(**fields: Any) -> str:
    return json.dumps({"seq": 1, "type": "drag.preview", "at": AT, "marks": [MARK], **fields})


def test_a_message_of_marks_is_read() -> None:
    read = parse(message(closed_loop=True))
    assert isinstance(read, DragMarks)
    assert read.closed_loop
    assert (read.marks[0].x, read.marks[0].y, read.marks[0].dx, read.marks[0].dy) == (1, 2, 3.5, 0)


def test_labels_are_bytes_in_base64() -> None:
    text = base64.b64encode(bytes([0, 7, 255])).decode()
    read = parse(json.dumps({"seq": 0, "type": "paint.draw", "mask": text, "recipes": RECIPES}))
    assert isinstance(read, PaintDraw)
    assert read.mask == bytes([0, 7, 255])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{",
        message(seq=-1),
        message(seq=1.5),
        message(seq="1"),
        message(type="drag.fly"),
        message(marks=[]),
        message(marks=[MARK] * 65),
        message(marks={}),
        message(marks=[{**MARK, "x": float("nan")}]),
        message(marks=[{**MARK, "x": float("inf")}]),
        message(marks=[{**MARK, "x": 1e9}]),
        message(marks=[{**MARK, "x": "1"}]),
        message(marks=[{**MARK, "z": 1}]),
        message(marks=[{"y": 1}]),
        message(closed_loop="yes"),
        message(checkpoint="/etc/passwd"),
        json.dumps({"seq": 1, "type": "paint.draw", "mask": "abc", "recipes": RECIPES}),
        json.dumps({"seq": 1, "type": "paint.draw", "mask": "AAAA", "recipes": [{"seed": -1}]}),
        json.dumps({"seq": 1, "type": "paint.draw", "mask": "AAAA", "recipes": 9 * RECIPES}),
        json.dumps({"seq": 1, "type": "drag.show", "at": "../../etc/passwd"}),
        json.dumps({"seq": 1, "type": "stop", "job": "x" * 65}),
        json.dumps({"seq": 1, "type": "annotate.train", "mask": "", "steps": 10**9}),
    ],
)
def test_what_the_page_would_never_say_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        parse(text)
