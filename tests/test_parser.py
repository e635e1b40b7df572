from pathlib import Path

import pytest

from semsynth.parser import REQUIRED, arguments_of, explain, meant, place

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
