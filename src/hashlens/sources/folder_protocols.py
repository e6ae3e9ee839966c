"""Published splits of data sets that a user has on disk: who trains, who asks, who is searched.

What has to lie in the folder, where each split comes from and how deep its papers look is a line of docs/images.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from hashlens.errors import BadInput
from hashlens.sources.folder import open_folder
from hashlens.sources.image_files import ImageFiles
from hashlens.sources.labels import as_multi_hot
from hashlens.sources.list_file import open_list
from hashlens.sources.source import Source

SPLITS = ("train", "queries", "database")


@dataclass(frozen=True)
class FolderProtocol:
    """A published split of images in a folder.

    Attributes:
        open: from the folder and one of :data:`SPLITS` to the source.
        needs: what has to be in the folder, to end a sentence.
        depth: of the mAP that its papers report; ``None`` for the whole database.

    Example:
        >>> FOLDER_PROTOCOLS["coco"].depth
        5000
    """

    open: Callable[[Path, str], Source]
    needs: str
    depth: int | None = None

    def parts(self, folder: Path) -> dict[str, Source]:
        """The sources of all splits; one where the same images train and are searched."""
        parts = {split: self.open(folder, split) for split in SPLITS}
        if parts["train"].name == parts["database"].name:
            parts["train"] = parts["database"]
        return parts


def _of_lists(classes: int, label_sets: bool, folder: Path, split: str) -> Source:
    path = folder / f"{'test' if split == 'queries' else split}.txt"
    if not path.is_file():
        raise BadInput(f"There is no {path}; put the list that is published there, and the images where it says.")
    listed = open_list(path)
    labels, names = listed.labels, listed.class_names
    assert labels is not None
    if len(names) != classes or (labels.ndim == 2 and not label_sets):
        each = "" if label_sets else ", one for each image"
        raise BadInput(f"{path} lists {len(names)} classes, but the protocol has {classes}{each}.")
    _check_first(listed, path)
    return listed.with_labels(as_multi_hot(labels, classes), names) if label_sets else listed


def _cars(folder: Path, split: str) -> Source:
    """Of what Krause et al. published: annotations as MATLAB files, or class folders made of them."""
    part = "test" if split == "queries" else "train"
    if not (folder / "devkit").is_dir():
        if not (folder / part).is_dir():
            raise BadInput(f"{folder} holds neither devkit nor a folder {part} of class folders.")
        return open_folder(folder / part)
    from scipy.io import loadmat

    table = folder / ("cars_test_annos_withlabels.mat" if part == "test" else "devkit/cars_train_annos.mat")
    try:
        rows = np.atleast_1d(loadmat(table, squeeze_me=True)["annotations"])
        meta = loadmat(folder / "devkit" / "cars_meta.mat", squeeze_me=True)["class_names"]
        names = [str(name) for name in np.atleast_1d(meta)]
        paths = [folder / f"cars_{part}" / str(row["fname"]) for row in rows]
        labels = np.array([int(row["class"]) - 1 for row in rows])
    except Exception as error:  # what a damaged file makes of scipy's reader
        raise BadInput(f"{table} and cars_meta.mat are not those of Stanford Cars ({error}).") from None
    if not len(labels) or labels.min() < 0 or labels.max() >= len(names):
        raise BadInput(f"{table} speaks of classes that cars_meta.mat does not name.")
    return _checked(table, paths, folder, labels, names)


def _nabirds(folder: Path, split: str) -> Source:
    """Of what Van Horn et al. published: tables of an image or class and what is told of it."""
    names, classes, files, trains = (
        _table(folder / f"{name}.txt") for name in ("classes", "image_class_labels", "images", "train_test_split")
    )
    if not classes.keys() == files.keys() == trains.keys() or not set(classes.values()) <= names.keys():
        raise BadInput(f"The tables in {folder} are not of the same images and classes.")
    used = sorted(set(classes.values()), key=lambda text: (len(text), text))
    numbers = {one: place for place, one in enumerate(used)}
    shown = [names[one] for one in numbers]
    if len(set(shown)) < len(shown):
        shown = [f"{names[one]} {one}" for one in numbers]
    mark = "0" if split == "queries" else "1"
    here = [image for image, trained in trains.items() if trained == mark]
    paths = [folder / "images" / files[image] for image in here]
    return _checked(folder / "images.txt", paths, folder, np.array([numbers[classes[one]] for one in here]), shown)


def _table(path: Path) -> dict[str, str]:
    try:
        lines = [line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        return {first: rest.strip() for first, rest in lines}
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} is no table of two columns ({error}).") from None


def _checked(listed: Path, paths: list[Path], folder: Path, labels: np.ndarray, names: list[str]) -> ImageFiles:
    if not paths:
        raise BadInput(f"{listed} lists no images of this split.")
    found = ImageFiles(str(listed), paths, folder, labels, names)
    _check_first(found, listed)
    return found


def _check_first(source: Source, listed: Path) -> None:
    if not Path(source.location(0)).is_file():
        raise BadInput(f"{listed} lists {source.location(0)}, which is not there; put the images where it says.")


def _lists(classes: int, label_sets: bool, where: str, depth: int | None = None) -> FolderProtocol:
    needs = f"train.txt, test.txt and database.txt, and the images where these say, {where}"
    return FolderProtocol(partial(_of_lists, classes, label_sets), needs, depth)


FOLDER_PROTOCOLS = {
    "imagenet100": _lists(100, False, "image/n….JPEG and val_image/….JPEG", 1000),
    "nuswide-21": _lists(21, True, "images/….jpg", 5000),
    "coco": _lists(80, True, "train2014/….jpg and val2014/….jpg", 5000),
    "voc2012": _lists(20, True, "VOCdevkit/VOC2012/JPEGImages/….jpg"),
    "mirflickr": _lists(38, True, "im….jpg"),
    "stanford-cars": FolderProtocol(
        _cars,
        "devkit/, cars_train/, cars_test/ and cars_test_annos_withlabels.mat, or class folders in train/ and test/",
    ),
    "nabirds": FolderProtocol(
        _nabirds, "classes.txt, images.txt, image_class_labels.txt, train_test_split.txt and images/"
    ),
}
"""By name; a user writes NAME=FOLDER."""


def folder_protocol(text: str) -> tuple[FolderProtocol, Path]:
    """The protocol and the folder that NAME=FOLDER says.

    Raises:
        BadInput: no folder is said, or there is none.

    Example:
        >>> try:
        ...     folder_protocol("voc2012=/nowhere")
        ... except BadInput as error:
        ...     print(str(error)[:60])
        /nowhere is no folder; voc2012 needs one that holds train.tx
    """
    name, _, place = text.partition("=")
    protocol = FOLDER_PROTOCOLS[name]
    if not place:
        raise BadInput(f"{name} needs its images; write {name}=FOLDER, which holds {protocol.needs}.")
    if not Path(place).is_dir():
        raise BadInput(f"{place} is no folder; {name} needs one that holds {protocol.needs}.")
    return protocol, Path(place)


def is_folder_protocol(text: str) -> bool:
    """Whether this names one, with or without a folder, but without a split.

    Example:
        >>> [is_folder_protocol(text) for text in ("coco=/data/coco", "coco", "coco=/data/coco:train", "photos")]
        [True, True, False, False]
    """
    name, _, place = text.partition("=")
    return name in FOLDER_PROTOCOLS and (":" not in place or Path(place).is_dir())
