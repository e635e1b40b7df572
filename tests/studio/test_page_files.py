import re
from pathlib import Path

from fastapi import FastAPI
from fastapi.testclient import TestClient

from semsynth.studio.page_files import PAGE, PageFiles


def test_files_are_compressed_and_kept_under_an_address_of_their_version(app: FastAPI) -> None:
    client = TestClient(app, base_url="http://127.0.0.1")
    index = client.get("/")
    assert index.headers["content-encoding"] == "gzip"
    assert index.headers["cache-control"] == "no-store"
    named = set(re.findall(r'"(/static/[^"#]+)', index.text))
    modules = {path.name for path in (PAGE / "js").iterdir()}
    assert {Path(name).name for name in named} == modules | {
        "icon.svg",
        "icons.svg",
        "style.css",
        "theme.js",
    }
    for name in named:
        answer = client.get(name)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers.get("content-encoding") == "gzip" or len(answer.content) < 512
    plain = client.get("/", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.text == index.text


def test_a_changed_file_has_a_new_address(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<head></head>")
    module = tmp_path / "a.js"
    module.write_text("1")
    first = PageFiles(tmp_path).place
    assert PageFiles(tmp_path).place == first
    module.write_text("2")
    assert PageFiles(tmp_path).place != first
