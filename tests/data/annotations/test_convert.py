import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from semsynth.data import DataError, Folder
from semsynth.data.annotations import convert, regions
from semsynth.data.annotations.coco import decompressed
from tests.data.annotations import exports
from tests.data.trees import only_batch, write_photo

HOLE = np.pad(np.pad(np.zeros((2, 3), bool), 1, constant_values=True), ((1, 3), (2, 3)))


def mask_of(kind: str, content: Any, place: Path, **options: Any) -> np.ndarray:
    """The label map (H, W) that an export with one photo is converted to."""
    file = exports.write(place / "in", content)
    convert(kind, file, None, place / "out", (1, 0, 0), **options)
    return np.asarray(Image.open(place / "out/train/labels/a.png"))


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize("kind", ["coco", "labelme", "cvat", "labelstudio"])
def test_every_tool_gives_the_same_label_map_of_one_scene(
    kind: str, installed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if installed:
        pytest.importorskip("pycocotools")
    else:
        monkeypatch.setattr(regions, "pycocotools", None)
    content = getattr(exports, kind.replace("lstudio", "l_studio"))()
    said: list[str] = []
    assert np.array_equal(mask_of(kind, content, tmp_path, say=said.append), exports.scene())
    assert "left out 1 annotations without an area" in said[1]
    assert (tmp_path / "out/classes.txt").read_text().split()[::2] == ["car", "ground"]


def test_converted_folder_is_read_with_its_instances(tmp_path: Path) -> None:
    content = exports.coco()
    content["annotations"][1]["iscrowd"] = 1
    mask_of("coco", content, tmp_path)
    (tmp_path / "out/val").symlink_to("train")
    batch = only_batch(Folder(str(tmp_path / "out"), 2, image_size=8, batch_size=1, flip=False))
    car = batch["mask"] == 0
    assert car.any()
    assert batch["instance"].tolist() == car.long().tolist()


def with_hole(kind: str) -> Any:
    """An export whose only region is ``HOLE``."""
    H, W = HOLE.shape
    if kind == "cvat":
        rle = runs(HOLE[1:5, 2:7].ravel())
        drawn = f'<mask label="car" rle="{rle}" left="2" top="1" width="5" height="4"></mask>'
        return exports.cvat(inside=drawn)
    if kind == "labelme":
        png = io.BytesIO()
        Image.fromarray(HOLE[1:5, 2:7]).save(png, "PNG")
        mask = base64.b64encode(png.getvalue()).decode()
        shape = {"label": "car", "shape_type": "mask", "points": [[2, 1], [6, 4]], "mask": mask}
        return exports.labelme() | {"shapes": [shape]}
    content = exports.coco()
    counts = [int(n) for n in runs(HOLE.T.ravel()).split(", ")]
    content["annotations"] = content["annotations"][:1]
    content["annotations"][0]["segmentation"] = {"size": [H, W], "counts": counts}
    return content


def runs(flat: np.ndarray) -> str:
    """Run lengths of pixels, outside first, one pixel at a time."""
    counts, inside = [0], False
    for value in flat.tolist():
        if value != inside:
            counts.append(0)
            inside = value
        counts[-1] += 1
    return ", ".join(map(str, counts))


@pytest.mark.parametrize("kind", ["coco", "labelme", "cvat"])
def test_masks_keep_their_holes(kind: str, tmp_path: Path) -> None:
    mask = mask_of(kind, with_hole(kind), tmp_path)
    assert np.array_equal(mask == 0, HOLE)


def test_compressed_counts_are_those_worked_out_by_hand() -> None:
    # 100 is 3 * 32 + 4; 16 would read as negative alone; the fourth is 2 = 5 - 3
    assert decompressed("1532") == [1, 5, 3, 7]
    assert decompressed("153M") == [1, 5, 3, 2]
    assert decompressed("T3`0") == [100, 16]


def test_compressed_counts_are_those_of_pycocotools() -> None:
    coco = pytest.importorskip("pycocotools.mask")
    inside = np.random.default_rng(0).random((90, 70)) < 0.01
    text = coco.encode(np.asfortranarray(inside.astype(np.uint8)))["counts"].decode()
    assert np.array_equal(regions.fill_runs(decompressed(text), True, 90, 70), inside)


def test_smaller_regions_lie_on_larger_ones_and_on_crowds(tmp_path: Path) -> None:
    content = exports.coco()
    car, ground = content["annotations"][:2]
    content["annotations"] = [car | {"iscrowd": 1}, ground]
    mask = mask_of("coco", content, tmp_path)
    assert (mask[4:] == 1).all()
    assert (mask[2:4, 2:6] == 0).all()


def test_background_is_a_class_of_the_other_pixels(tmp_path: Path) -> None:
    mask = mask_of("labelme", exports.labelme(), tmp_path, background="sky")
    order = np.array([1, 2, *[0] * 254], np.uint8)
    assert np.array_equal(mask, order[exports.scene()])


def test_classes_of_the_output_give_the_order(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/classes.txt").write_text("ground\ntree\ncar\n")
    mask = mask_of("coco", exports.coco(), tmp_path)
    assert np.unique(mask).tolist() == [0, 2, 255]
    assert (tmp_path / "out/classes.txt").read_text() == "ground\ntree\ncar\n"


def test_photos_are_split_by_shares_and_named_by_folder_if_equal(tmp_path: Path) -> None:
    content = exports.coco()
    photos = [f"{folder}/{i}.png" for folder in "ab" for i in range(5)]
    for photo in photos:
        write_photo(tmp_path / "photos" / photo, (exports.W, exports.H))
    image = content["images"][0]
    content["images"] = [image | {"id": i, "file_name": p} for i, p in enumerate(photos)]
    content["annotations"] = []
    (tmp_path / "export.json").write_text(json.dumps(content))
    convert("coco", tmp_path / "export.json", tmp_path / "photos", tmp_path, (0.6, 0.2, 0.2))
    found = {s: sorted(p.stem for p in (tmp_path / s / "images").iterdir()) for s in SPLITS}
    assert [len(names) for names in found.values()] == [6, 2, 2]
    assert sorted(name for names in found.values() for name in names) == [
        f"{f}_{i}" for f in "ab" for i in range(5)
    ]


SPLITS = ("train", "val", "test")
BOMB = '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><annotations>&c;</annotations>'
HALF = exports.coco()["annotations"][0] | {"segmentation": {"size": [8, 10], "counts": [3, 4]}}
MISTAKES = [
    ("cvat", BOMB, "declares the document type 'a'"),
    ("cvat", "<annotations>", "not XML .*export it again"),
    ("cvat", "<annotations><track/></annotations>", "'CVAT for images 1.1'"),
    ("coco", exports.labelme(), "looks like labelme's; try semsynth data prepare labelme"),
    ("coco", {"images": []}, "there is no 'categories'"),
    ("coco", exports.coco() | {"annotations": [HALF]}, "is of 7 pixels, not of 10x8"),
    ("coco", exports.coco("b.png"), r"b\.png .*--images"),
    ("coco", exports.coco() | {"images": []}, "image 7, which is not in images"),
    ("labelme", exports.labelme() | {"imageHeight": 9}, "is 10x8, but was annotated as 10x9"),
    ("labelme", exports.labelme() | {"shapes": []}, "there are 0 classes"),
    ("labelstudio", [3], "cannot be read as labelstudio"),
]


@pytest.mark.parametrize(("kind", "content", "message"), MISTAKES)
def test_mistake_is_named_and_nothing_is_written(
    kind: str, content: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        mask_of(kind, content, tmp_path)
    assert not list((tmp_path / "out").glob("*")), "something was written"
    assert not list((tmp_path / "out").glob(".*"))


def test_existing_split_is_not_overwritten(tmp_path: Path) -> None:
    mask_of("coco", exports.coco(), tmp_path)
    with pytest.raises(DataError, match="out/train exists; choose another --output"):
        mask_of("coco", exports.coco(), tmp_path)
