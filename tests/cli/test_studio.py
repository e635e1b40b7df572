import re
import signal
import socket
import subprocess
import sys
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import pytest

from semsynth.cli import main
from semsynth.cli import studio as command
from semsynth.studio.page_files import PAGE


def test_a_missing_extra_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    found = find_spec("torch")
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "uvicorn" else found)
    with pytest.raises(SystemExit, match=r"uvicorn cannot be imported.*\n.*semsynth\[studio\]"):
        main(["studio"])


def test_a_port_in_use_ends_in_one_message() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with pytest.raises(SystemExit, match=r"semsynth studio: .*in use"):
            main(["studio", "--port", port])


@pytest.mark.slow
def test_the_command_serves_the_page_until_it_is_interrupted() -> None:
    words = [sys.executable, "-m", "semsynth", "studio", "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
        assert found
        with urllib.request.urlopen(found[0]) as answer:
            assert b"semsynth studio" in answer.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) in (0, -signal.SIGINT)


@pytest.mark.parametrize("file", sorted(p.relative_to(PAGE) for p in PAGE.rglob("*.*")), ids=str)
def test_the_page_asks_no_other_server(file: Path) -> None:
    text = (PAGE / file).read_text().replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|[\"'(]//\w", text)
    assert not re.search(r"\son\w+=|<style|style=|eval\(|innerHTML", text)
