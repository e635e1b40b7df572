"""Links lead somewhere, and every flag in the text exists."""

import inspect
import re
from pathlib import Path

import pytest
from lightning import LightningDataModule, LightningModule

import semsynth.data
import semsynth.methods
from benchmarks.run import run
from semsynth.cli import COMMANDS, main
from semsynth.cli.completion import actions_below, whole_parser
from tests.docs.documents import BLOCK, DOCUMENTS, ROOT, inline_flags

LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")
OTHERS = {
    "--max_restarts",
    "--nproc_per_node",
    "--ntasks-per-node",
    "--signal",
    "--help",
    "--debug",
    "--print-sbatch",
}


@pytest.fixture(scope="module")
def flags() -> set[str]:
    """All flags of all commands, and arguments of all methods and data sets."""
    known = {flag for action in actions_below(whole_parser()) for flag in action.option_strings}
    for module, key in ((semsynth.methods, "model"), (semsynth.data, "data")):
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value) and issubclass(value, LightningModule | LightningDataModule):
                kinds = (kind for kind in value.__mro__ if kind.__module__.startswith("semsynth"))
                names = {name for kind in kinds for name in inspect.signature(kind).parameters}
                known |= {f"--{key}.{name}" for name in names}
    return known | OTHERS | {f"--{flag}" for flag in inspect.signature(run).parameters}


def shown(command: str, capsys: pytest.CaptureFixture[str]) -> set[str]:
    """Flags that the help of a command shows."""
    with pytest.raises(SystemExit):
        main([command, "--help"])
    return set(re.findall(r"--[\w.]+", capsys.readouterr().out))


def test_flags_in_the_text_exist(flags: set[str], capsys: pytest.CaptureFixture[str]) -> None:
    known = flags.union(*(shown(command, capsys) for command in COMMANDS))
    unknown = {(d.name, flag) for d in DOCUMENTS for flag in inline_flags(d) if flag not in known}
    assert unknown == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_links_lead_somewhere(document: Path) -> None:
    for link in LINK.findall(document.read_text()):
        if link.startswith("http"):
            continue
        file, _, heading = link.partition("#")
        target = (document.parent / file).resolve() if file else document
        assert target.exists(), link
        if heading:
            assert heading in headings(target), link


OF_OTHERS = re.compile(r"\b(?:vgg19|inception|alex|dinov2|fid|kid|prdc)\b|clvae/few\.yaml")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_commands_that_need_weights_say_so_above_them(document: Path) -> None:
    text = document.read_text()
    for block in BLOCK.finditer(text):
        lines = block[2].replace("\\\n", " ").splitlines()
        for line in lines if block[1] in ("", "sh") else ():
            files = re.findall(r"experiments/\S+\.yaml", line)
            named = line + "".join((ROOT / file).read_text() for file in files)
            runs = re.search(r"\b(?:fit|validate|test|evaluate)\b", line)
            if runs and OF_OTHERS.search(named) and "weight" not in line:
                assert "weights" in text[: block.start()], line


def headings(document: Path) -> set[str]:
    """Headings as links name them."""
    lines = BLOCK.sub("", document.read_text()).splitlines()
    titles = [line.lstrip("#").strip().lower() for line in lines if line.startswith("#")]
    return {re.sub(r"[^\w -]", "", title).replace(" ", "-") for title in titles}


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs/index.md").read_text()
    missing = [p.name for p in (ROOT / "docs").glob("*.md") if f"({p.name})" not in index]
    assert missing == ["index.md"]


def test_every_table_of_the_papers_is_named() -> None:
    text = (ROOT / "docs/papers.md").read_text()
    assert all(p.name in text for p in (ROOT / "benchmarks/suites").glob("paper-*.yaml"))


@pytest.mark.parametrize(("way", "most"), [("label map", 12), ("drag", 10)])
def test_files_on_the_way_exist_and_are_few(way: str, most: int) -> None:
    _, text = (ROOT / "CONTRIBUTING.md").read_text().split(f"<!-- {way}: ")
    steps = re.findall(r"^\d+\. `(\S+)`", text.partition("\n\n")[0], re.MULTILINE)
    assert 0 < len(steps) <= most
    assert [step for step in steps if not (ROOT / "semsynth" / step).is_file()] == []
