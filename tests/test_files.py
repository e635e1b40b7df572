from pathlib import Path

import pytest

from semsynth.files import replaced, write_bytes, write_text


@pytest.mark.parametrize("durable", [False, True])
def test_file_is_the_old_one_until_the_new_one_is_whole(tmp_path: Path, durable: bool) -> None:
    file = tmp_path / "made/on/the/way.txt"
    write_text(file, "old")
    with replaced(file, durable=durable) as temporary:
        temporary.write_text("new")
        assert file.read_text() == "old"
    assert file.read_text() == "new"
    assert list(file.parent.iterdir()) == [file]


def test_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "kept.bin"
    write_bytes(file, b"old")

    def interrupted() -> None:
        with replaced(file) as temporary:
            temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]
