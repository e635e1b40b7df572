import math
import re
from pathlib import Path
from typing import Any

import pytest

from semsynth.cli import main
from semsynth.errors import (
    UserError,
    check_numbers,
    require_not_negative,
    require_positive,
    require_writable,
)


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


@pytest.mark.parametrize(
    ("values", "key"),
    [({"a": {"b": float("nan")}}, "a.b"), ({"a": [0.5, (1, float("inf"))]}, r"a\[1\]\[1\]")],
)
def test_number_that_is_not_finite_is_named_by_its_key(values: Any, key: str) -> None:
    check_numbers({"a": [1, 0.5, "nan", None, True]})
    with pytest.raises(UserError, match=f"^{key} is "):
        check_numbers(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seed": -1}, "seed is -1; give a seed from 0 to 4,294,967,295"),
        ({"a": {"shots_seed": 2**32}}, "a.shots_seed is 4294967296; give a seed"),
        ({"--seed": 2**64}, "--seed is 18446744073709551616; give at most 9,007,199,254,740,992"),
        ({"a": -(10**20)}, "a is -100000000000000000000; give at most"),
    ],
)
def test_number_out_of_range_is_refused(values: Any, message: str) -> None:
    check_numbers({"seed": 2**32 - 1, "seed_everything": True, "seeds": -1, "a": 2**53})
    with pytest.raises(UserError, match=re.escape(message)):
        check_numbers(values)
