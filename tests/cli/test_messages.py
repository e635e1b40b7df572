from pathlib import Path

import pytest

from semsynth.cli.messages import (
    REQUIRED,
    WRAPPED,
    arguments_of,
    check_files,
    explain,
    meant,
    place,
    unwrapped,
)
from semsynth.errors import UserError

UNKNOWN_ARGUMENT = """Parser key "model":
  Does not validate against any of the Union subtypes
  Errors:
    - Problem with given class_path 'semsynth.methods.CLVAE':
        Option 'chanels' is not accepted
    - Expected a <class 'NoneType'>"""
WRONG_VALUE = """Parser key "model":
  Errors:
    - Problem with given class_path 'semsynth.methods.CLVAE':
        Parser key "kl_norm":
          Expected a typing.Literal['level', 'mask']. Got value: mean
    - Expected a <class 'NoneType'>"""


def test_unknown_argument_gets_a_suggestion_and_its_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("model:\n  chanels: 3\n")
    text = explain(UNKNOWN_ARGUMENT, files=[str(file), "gone.yaml"])
    assert text == f"CLVAE has no argument 'chanels' (in {file}); did you mean 'channels'?"


def test_unknown_key_gets_a_suggestion() -> None:
    message = "Subcommand 'fit' does not accept option 'evaluation.num_sample'"
    text = explain(message, keys=["evaluation.num_samples", "evaluation.seed"])
    assert "no key 'evaluation.num_sample'; did you mean 'evaluation.num_samples'" in text


def test_unknown_flag_gets_a_suggestion() -> None:
    text = explain("Unrecognized arguments: --trainer.max_step=3", keys=["trainer.max_steps"])
    assert text == "There is no flag '--trainer.max_step'; did you mean 'trainer.max_steps'?"


def test_wrong_value_names_argument_and_choices() -> None:
    text = explain(WRONG_VALUE)
    assert "CLVAE: argument 'kl_norm': Expected a typing.Literal['level', 'mask']" in text
    assert "mean" in text
    assert "\n" not in text


def test_nothing_to_work_with_is_told_what_to_name() -> None:
    message = "the following arguments are required: fit.data, fit.model"
    assert explain(message) == REQUIRED


@pytest.mark.parametrize("message", ["Something else", "Problems parsing config: in line 2"])
def test_other_messages_stay(message: str) -> None:
    assert explain(message) == message


def test_nothing_close_gets_no_suggestion() -> None:
    assert meant("zzz", ["channels"]) == "."
    assert place("zzz", []) == ""


def test_arguments_are_those_of_the_constructor() -> None:
    assert {"num_classes", "kl_weight"} <= set(arguments_of("semsynth.methods.CLVAE"))


def test_mistakes_in_a_metric_are_said_in_one_sentence() -> None:
    path = "semsynth.metrics.KernelDistance"
    prefix = "Type collections.abc.Callable expects a function or a callable class: "
    value = f"Got value: Namespace(class_path='{path}', init_args=Namespace(x=1))"
    unknown = f"{prefix}Option 'extractr' is not accepted. {value}"
    assert explain(unknown).startswith("KernelDistance has no argument 'extractr'; did you mean")
    missing = f"{prefix}the following arguments are required: extractor. {value}"
    expected = "KernelDistance: the following arguments are required: extractor."
    assert explain(missing) == expected
    wrong = (
        f"{prefix}Parser key \"num_subsets\":\n  Expected a <class 'int'>. Got value: many. {value}"
    )
    assert "num_subsets" in explain(wrong)
    assert "Namespace" not in explain(wrong)


UNION = """Parser key "{key}":
  Does not validate against any of the Union subtypes
  Subtypes: [...]
  Errors:
    - Expected {first}
    - Expected a <class 'NoneType'>
  Given value type: <class 'str'>
  Given value: {value}"""


def test_value_that_is_none_of_several_kinds_is_told_which_there_are() -> None:
    message = UNION.format(key="trainer.max_epochs", first="a <class 'int'>", value="many")
    assert explain(message) == "trainer.max_epochs: expected int or null, got many."


def test_unknown_class_is_told_which_there_are() -> None:
    first = "a dot import path string: Clvae"
    text = explain(UNION.format(key="model", first=first, value="Clvae"))
    assert text.startswith("model: there is no class 'Clvae'; did you mean 'CLVAE'? There are ")
    assert "UserControllableLT" in text
    assert "CLVAE" not in explain(UNION.format(key="trainer.x", first=first, value="Clvae"))


def test_error_of_a_constructor_comes_to_light() -> None:
    report = ValueError(f"{WRAPPED}: many lines")
    report.__cause__ = UserError("the real reason")
    with pytest.raises(UserError, match="the real reason"), unwrapped():
        raise report


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"- 1\n", "no keys and values"), (b"\xff", "is no YAML"), (b"a: [", "is no YAML")],
)
def test_file_that_is_no_configuration_is_refused(
    content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_bytes(content)
    with pytest.raises(UserError, match=rf"mine\.yaml.* ?{message}"):
        check_files([str(tmp_path / "mine.yaml")])
