"""The same scene as each labelling tool exports it: a car on the ground below a sky."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.data.trees import write_photo

H, W = 8, 10
CAR = [[2, 2], [6, 2], [6, 6], [2, 6]]
BITS = "{:032b}{:05b}" + "{:04b}" * 4


def scene() -> np.ndarray:
    """Its label map (H, W): car 0, ground 1, 255 without an annotation."""
    mask = np.full((H, W), 255, np.uint8)
    mask[4:] = 1
    mask[2:6, 2:6] = 0
    return mask


def coco(photo: str = "a.png") -> dict[str, Any]:
    ground = [0, 4, 10, 4, 10, 8, 0, 8]
    return {
        "images": [{"id": 7, "file_name": photo, "height": H, "width": W}],
        "categories": [{"id": 9, "name": "ground"}, {"id": 3, "name": "car"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 3, "segmentation": [np.ravel(CAR).tolist()]},
            {"id": 2, "image_id": 7, "category_id": 9, "segmentation": [ground]},
            {"id": 3, "image_id": 7, "category_id": 3, "segmentation": [], "bbox": [1, 1, 2, 2]},
        ],
    }


def labelme(photo: str = "a.png") -> dict[str, Any]:
    shapes = [
        {"label": "ground", "shape_type": "rectangle", "points": [[10, 8], [0, 4]]},
        {"label": "car", "shape_type": "polygon", "points": CAR},
        {"label": "car", "shape_type": "point", "points": [[1, 1]]},
    ]
    return {"shapes": shapes, "imagePath": photo, "imageHeight": H, "imageWidth": W}


def cvat(photo: str = "a.png", inside: str = "") -> str:
    points = ";".join(f"{x}.00,{y}.00" for x, y in CAR)
    shapes = (
        f'<polygon label="car" points="{points}" z_order="1"></polygon>'
        '<box label="ground" xtl="0" ytl="4" xbr="10" ybr="8" z_order="0"></box>'
        '<points label="car" points="1,1"></points>'
    )
    labels = "".join(f"<label><name>{name}</name></label>" for name in ("car", "ground"))
    image = f'<image id="0" name="{photo}" width="{W}" height="{H}">{inside or shapes}</image>'
    meta = f"<meta><task><labels>{labels}</labels></task></meta>"
    return f'<?xml version="1.0"?>\n<annotations>{meta}{image}</annotations>'


def label_studio(photo: str = "a.png") -> list[dict[str, Any]]:
    car = np.zeros((H, W), bool)
    car[2:6, 2:6] = True
    values: list[dict[str, Any]] = [
        {"x": 0, "y": 50, "width": 100, "height": 50, "rectanglelabels": ["ground"]},
        {"format": "rle", "rle": brush(car), "brushlabels": ["car"]},
        {"x": 1, "y": 1, "width": 2, "keypointlabels": ["car"]},
    ]
    size = {"original_height": H, "original_width": W, "image_rotation": 0}
    result = [size | {"type": list(value)[-1], "value": value} for value in values]
    annotations = [{"was_cancelled": True, "result": []}, {"result": result}]
    return [{"data": {"image": f"/data/upload/1/0a1b2c3d-{photo}"}, "annotations": annotations}]


def brush(inside: np.ndarray) -> list[int]:
    """Label Studio's bytes of pixels (H, W): one run of values, and a run of one value if any."""
    flat = np.repeat(inside.ravel() * np.uint8(255), 4)  # RGBA
    head, tail = flat[:-20], flat[-20:]
    assert not tail.any()
    bits = BITS.format(flat.size, 7, 2, 4, 8, 15)
    bits += "0" + "11" + f"{head.size - 1:016b}" + "".join(f"{v:08b}" for v in head)
    bits += "1" + "01" + f"{19:05b}" + f"{0:08b}"
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


def write(directory: Path, content: Any) -> Path:
    """Write an export beside its photo ``a.png``."""
    write_photo(directory / "a.png", (W, H))
    file = directory / ("export.xml" if isinstance(content, str) else "export.json")
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file
