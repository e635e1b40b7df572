import math
from pathlib import Path

import pytest

from semsynth.cli import main
from semsynth.errors import UserError, require_not_negative, require_positive, require_writable


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_what_is_not_positive_is_refused_by_name(value: float) -> None:
    with pytest.raises(UserError, match=f"size must be a positive number, got {value}"):
        require_positive(good=1, absent=None, size=value)


@pytest.mark.parametrize("value", [-0.5, math.nan, math.inf])
def test_what_is_negative_is_refused_by_name(value: float) -> None:
    require_not_negative(weight=0)
    with pytest.raises(
        UserError, match=f"weight must be 0 or a positive, finite number, got {value}"
    ):
        require_not_negative(weight=value)


def test_directory_that_can_be_made_is_writable_and_is_not_made(tmp_path: Path) -> None:
    require_writable(tmp_path / "a" / "b", "--out")
    assert not (tmp_path / "a").exists()


def test_file_in_the_way_is_named_with_the_flag(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(UserError, match=r"a is a file, not a directory\. Change --out"):
        require_writable(tmp_path / "a" / "b", "--out")


def test_debug_shows_where_a_mistake_was_found() -> None:
    arguments = ["weights", "import", "gone", "--as", "vgg19"]
    with pytest.raises(SystemExit, match=r"^semsynth weights: There is no file gone"):
        main(arguments)
    with pytest.raises(UserError, match="There is no file gone"):
        main([*arguments, "--debug"])
