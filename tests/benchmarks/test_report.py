import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from rich.console import Console

from benchmarks import report
from benchmarks.report import pages
from benchmarks.report.figures import curves, pictures, read_log
from benchmarks.report.tables import Table, best, comparable_groups, decide, published, tables
from benchmarks.report.terminal import show
from benchmarks.results import latest_rows
from benchmarks.rows import entries, label, written
from semsynth.images import save_png
from semsynth.metrics.protocol import ProtocolError


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, Any]]:
    run_dir = tmp_path / "runs" / "a"
    save_png(torch.zeros(3, 4, 4, dtype=torch.uint8), run_dir / "images/test_samples.png")
    logs = run_dir / "logs" / "fit"
    logs.mkdir(parents=True)
    (logs / "metrics.csv").write_text(
        "epoch,step,train/kl,val/fd_toy,val/MeanIoU\n0,9,1.5,4.0,\n0,19,1.25,3.0,1\n"
    )
    base = {"run_dir": str(run_dir), "seconds": 1.0, "method": "CLVAE"}
    of_class = {"varied": ["model.class_wise"]} | base
    first = {"run": "a", "parameters": {"model.class_wise": True, "seed": 1}} | of_class
    second = {"run": "b", "parameters": {"model.class_wise": False, "seed": 1}} | of_class
    failed = {"run": "c", "parameters": {"model.lr": 9}, "varied": ["model.lr"]} | base
    oracle = {"run": "oracle", "oracle": True, "scores": {"fd_toy": 0.5, "MeanIoU": 0.99}}
    return [
        oracle,
        first | {"scores": {"fd_toy": 2.0, "MeanIoU": 0.5}},
        second | {"scores": {"fd_toy": 1.0, "MeanIoU": 0.25}},
        failed | {"error": "exit code 1: <boom>"},
    ]


@pytest.fixture
def page(tmp_path: Path, rows: list[dict[str, Any]]) -> str:
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "results.jsonl").write_text(lines)
    return report.write(tmp_path, title="test").read_text()


def test_rows_are_called_after_what_they_differ_in(rows: list[dict[str, Any]]) -> None:
    names = ["oracle (renderer)", "CLVAE", "without class-wise", "CLVAE, lr=9"]
    assert [label(row) for row in rows] == names


def test_an_upper_bound_says_where_it_comes_from() -> None:
    labels = [label({"oracle": value}) for value in (True, "photographs")]
    assert labels == ["oracle (renderer)", "real photographs"]


def test_oracle_stands_last_and_does_not_compete(page: str) -> None:
    assert page.index("oracle (renderer)") > page.index("without class-wise")
    assert '<td class="best">1.000</td>' in page
    assert '<td class="best">0.5000</td>' in page
    assert page.count('class="best"') == 2


def test_failed_run_shows_its_reason_escaped(page: str) -> None:
    assert "&lt;boom&gt;" in page
    assert 'tr class="failed"' in page


def test_page_needs_no_other_file(page: str, tmp_path: Path) -> None:
    content, *_ = re.findall(r"data:image/webp;base64,([^\"]+)", page)
    shown = Image.open(io.BytesIO(base64.b64decode(content)))
    assert shown.size == Image.open(tmp_path / "runs/a/images/test_samples.png").size
    assert "http" not in page


def test_only_scores_of_the_tables_have_curves_and_single_points_have_none(
    page: str, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    assert 'alt="training curves"' in page
    wanted = ["val/fd_toy", "val/MeanIoU"]  # of which the second has one point
    both, one = curves(rows, wanted), curves(rows, wanted[:1])
    assert both == one
    assert curves(rows, wanted[1:]) is None


def test_log_is_read_by_name_and_step(tmp_path: Path, page: str) -> None:
    log = read_log(tmp_path / "runs/a")
    values = {"val/fd_toy": [(9, 4.0), (19, 3.0)], "val/MeanIoU": [(19, 1.0)]}
    assert log == {"train/kl": [(9, 1.5), (19, 1.25)]} | values


def test_last_row_of_a_run_counts(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    again = rows[1] | {"scores": {"fd_toy": 9.0}}
    lines = "".join(json.dumps(row) + "\n" for row in [*rows, again])
    (tmp_path / "results.jsonl").write_text(lines)
    by_name = {row["run"]: row for row in latest_rows(tmp_path)}
    assert by_name["a"]["scores"] == {"fd_toy": 9.0}


def measured(rows: list[dict[str, Any]], **changes: Any) -> list[dict[str, Any]]:
    """The rows with a protocol, which differs for the last that has scores."""
    protocol = {"split": "test", "num_images": 128, "metrics": {}, "versions": {"torch": "2.11"}}
    scored = [row for row in rows if "scores" in row]
    others = [row | {"protocol": protocol} for row in scored[:-1]]
    return [*others, scored[-1] | {"protocol": protocol | changes}]


def test_rows_of_another_protocol_stand_in_a_table_of_their_own(
    rows: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed = measured(rows, num_images=500)
    with pytest.raises(ProtocolError, match=r"of a and b .*num_images is 128 and 500"):
        Table(mixed, mixed)
    assert best(entries(measured(rows)), "fd_toy") == 1.0
    page = report.page(mixed)
    assert page.count("<table>") == 2
    assert "first table: num_images is 128 and 500" in page
    assert page.count('class="best"') == 4  # each table has its own
    lines = "".join(json.dumps(row) + "\n" for row in mixed)
    (tmp_path / "results.jsonl").write_text(lines)
    report.write(tmp_path, title="mixed")
    assert "num_images is 128 and 500" in " ".join(capsys.readouterr().out.split())


def test_versions_are_named_and_do_not_part_rows(rows: list[dict[str, Any]]) -> None:
    page = report.page(measured(rows, versions={"torch": "2.12"}))
    assert page.count("<table>") == 1
    assert "torch 2.11 and 2.12" in page


def test_runs_that_failed_go_with_the_first_table(rows: list[dict[str, Any]]) -> None:
    groups = comparable_groups([*measured(rows, split="val"), rows[-1]])
    assert [[row["run"] for row in group] for group in groups] == [["oracle", "a", "c"], ["b"]]


def test_runs_that_differ_in_the_seed_are_one_line_with_mean_and_spread(
    rows: list[dict[str, Any]],
) -> None:
    base = rows[1] | {"varied": ["seed_everything"]}
    seeds = [
        base | {"run": f"s{i}", "parameters": {"seed_everything": i}, "scores": {"fd_toy": value}}
        for i, value in enumerate([1.0, 2.0, 6.0])
    ]
    (line,) = entries(seeds)
    assert written(line.values("fd_toy")) == "3.000 ± 2.6"  # statistics by hand
    del seeds[2]["scores"]
    page = report.page([*seeds[:2], seeds[2] | {"error": "boom"}])
    assert "1.500 ± 0.71" in page
    assert "2 of 3" in page
    assert 'title="boom"' in page


def test_flags_that_go_with_a_file_name_the_line(rows: list[dict[str, Any]]) -> None:
    flags = "--trainer.max_steps 9 --model.layer_wise false --model.class_wise=false --data.shots 5"
    row = rows[1] | {"varied": ["config"], "parameters": {"config": f"mine/a.yaml {flags}"}}
    assert label(row) == "a without class-wise and layer-wise, shots=5"


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ("clvae/gta5.yaml --model.layer_wise false --trainer.max_steps 9", "without layer-wise"),
        ("clvae/gta5.yaml --model.class_wise false --model.layer_wise false", "GauGAN-VAE"),
        ("clvae/gta5.yaml --model.lr 1e-3", "gta5, lr=1e-3"),
        ("fewshot_smis/toy_dense_better.yaml --model.refine_steps 40", "improved, dense"),
        ("fewshot_smis/toy_dense.yaml --data.shots 1", "FewShotSMIS, dense"),
        ("fewshot_smis/toy_dense.yaml --data.shots 5", "FewShotSMIS, dense, 5"),
        ("user_controllable_lt/car.yaml --model.scale_pairs 128", "UserControllableLT"),
    ],
)
def test_runs_of_the_suites_have_short_names(config: str, name: str) -> None:
    assert label({"parameters": {"config": f"experiments/{config}"}}) == name


def test_lines_of_one_name_are_told_apart_by_what_differs(rows: list[dict[str, Any]]) -> None:
    base = rows[1] | {"method": "CLVAE"}
    given = ["clvae/gta5.yaml --trainer.max_steps 9", "clvae/gta5.yaml", "clvae/ade20k.yaml"]
    lines = entries([base | {"parameters": {"config": f"experiments/{c}"}} for c in given])
    assert [x.name for x in lines] == [
        "CLVAE (gta5, max_steps=9)",
        "CLVAE (gta5)",
        "CLVAE (ade20k)",
    ]


def test_equal_oracles_are_one_line_without_spread(rows: list[dict[str, Any]]) -> None:
    (line,) = entries([rows[0], rows[0] | {"run": "oracle-2"}])
    assert written(line.values("fd_toy")) == "0.5000"


def test_terminal_of_80_columns_shows_five_scores_of_four_digits(
    rows: list[dict[str, Any]],
) -> None:
    names = ["PixelAccuracy", "fd_toy", "diversity_toy", "MeanIoU", "top1_toy", "other"]
    scores = {name: 0.123456 + i for i, name in enumerate(names)}
    console = Console(width=80, file=io.StringIO())
    show(found := tables([rows[1] | {"scores": scores}]), decide(found), console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    (line,) = (line for line in shown.splitlines() if "CLVAE" in line)
    assert line.split() == ["CLVAE", "1.123", "3.123", "2.123", "4.123", "0.1235"]
    assert max(map(len, shown.splitlines())) <= 80


def test_published_numbers_stand_in_their_own_column_with_source_and_mark(
    rows: list[dict[str, Any]],
) -> None:
    card = {"split": "test", "data": "GTA5", "metrics": {}, "versions": {}}
    ours = rows[1] | {"scores": {"diversity_alex": 0.25}, "protocol": card, "method": "CLVAE"}
    page = report.page([ours])
    assert ">0.266†</td>" in page
    assert "tables 4 and 5" in page
    assert "<td>cIMLE</td>" in page  # it has no run here
    assert page.count('class="best"') == 1
    assert 'class="paper"' not in report.page(rows)  # no paper measures the toy world


def test_every_published_number_has_a_source() -> None:
    for data in ("ADE20K", "DeepFashion", "GTA5", "CelebAMaskHQ"):
        assert published(data)
        assert all(p.source and 0 < p.value < 100 for p in published(data))


def test_iou_of_classes_has_a_table_with_their_names(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "runs/a/classes.json").write_text('["sky", "road"]')
    older = rows[1] | {"scores": {"MeanIoU": 0.5, "IoU_class_1": 0.75}}
    newer = rows[2] | {"scores": {"MeanIoU": 0.5, "IoU_road": 0.25}}
    page = report.page([older, newer])
    assert page.count("<th>road</th>") == 1
    assert "<th>sky</th>" not in page
    assert ">0.75</td>" in page
    assert ">0.25</td>" in page
    assert page.count("IoU_") == 0


def test_pictures_of_any_method_are_shown_with_their_captions(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    images = tmp_path / "runs/a/images"
    for name in ("test_drag_strip", "edit", "samples_00000009"):
        save_png(torch.zeros(3, 4, 4, dtype=torch.uint8), images / f"{name}.png")
    (images / "edit.txt").write_text("A nose, <pulled>.")
    (line,) = entries([rows[1]])
    shown = {picture.name: picture.caption for picture in pictures(line, tmp_path)}
    linked = [picture.address for picture in pictures(line, tmp_path)[1:]]
    assert linked == ["runs/a/images/edit.png", "runs/a/images/test_drag_strip.png"]
    assert list(shown) == ["test_samples", "edit", "test_drag_strip"]
    assert shown["test_drag_strip"] == "Drag strip."
    assert "A nose, &lt;pulled&gt;." in report.page([rows[1]])


def test_log_of_a_training_that_went_on_is_one_series(tmp_path: Path) -> None:
    for name, lines in (("fit", "0,1\n10,2\n"), ("fit-2", "10,2.5\n20,3\n")):
        file = tmp_path / "logs" / name / "metrics.csv"
        file.parent.mkdir(parents=True)
        file.write_text(f"step,train/kl\n{lines}")
    assert read_log(tmp_path) == {"train/kl": [(0, 1), (10, 2.5), (20, 3)]}


def test_markdown_has_a_table_with_the_best_in_bold(rows: list[dict[str, Any]]) -> None:
    text = report.markdown(rows)
    assert "| CLVAE | 2.000 | **0.5000** |" in text
    assert "| CLVAE, lr=9 | failed: exit code 1: &lt;boom&gt; |" in text


def test_pages_of_the_results_say_what_their_rows_say() -> None:
    found = {page.name: page.read_text() for page in pages.RESULTS.glob("*.md")}
    assert "<!-- rows: clvae.jsonl" in found["clvae.md"]
    for text in found.values():
        assert pages.render(text) == text  # else: python -m benchmarks.report.pages


def test_page_keeps_its_prose_and_gets_its_table(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = "Before.\n<!-- rows: a.jsonl: fd_toy -->\nold\n<!-- end -->\nAfter.\n"
    assert pages.render(text, tmp_path).splitlines() == [
        *(
            "Before.",
            "<!-- rows: a.jsonl: fd_toy -->",
            "| run | fd_toy ↓ | runs |",
            "|---|---|---|",
        ),
        *("| CLVAE | 2.000 | 1 |", "| without class-wise | **1.000** | 1 |"),
        *("| oracle (renderer) | 0.5000 | 1 |", "<!-- end -->", "After."),
    ]
