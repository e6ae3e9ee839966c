"""From what a user writes to numbered images with labels, or to one sentence that says what is wrong."""

from __future__ import annotations

import io
import json
import os
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from hashlens.errors import BadInput
from hashlens.sources import FeatureArray, ImageArray, Source, UnreadableImage, as_source, open_source

SHADES = (0, 40, 80, 120, 160, 200)


def picture(shade: int, mode: str = "RGB") -> Image.Image:
    return Image.new("L", (8, 6), shade).convert(mode)


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    picture(shade).save(buffer, "PNG")
    return buffer.getvalue()


def write(folder: Path, *names: str) -> Path:
    """Write a picture under each name, each a little lighter than the one before."""
    for shade, name in zip(SHADES, names, strict=False):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(shade))
    return folder


def shades(source: Source) -> list[int]:
    return [source.image(item).getpixel((0, 0))[0] for item in range(len(source))]


def keys(source: Source) -> list[str]:
    return [source.key(item) for item in range(len(source))]


def label_names(source: Source) -> list[list[str]]:
    return [source.label_names(item) for item in range(len(source))]


def refusal(call: Callable[[], Any]) -> str:
    """The sentence with which a call is refused."""
    with pytest.raises(BadInput) as caught:
        call()
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence[-1] in ".)?"
    return sentence


def write_csv(folder: Path, *lines: str, encoding: str = "utf-8", name: str = "table.csv") -> Path:
    (folder / name).write_text("\n".join(lines) + "\n", encoding=encoding)
    return folder / name


def write_parquet(
    path: Path,
    labels: Any = None,
    *,
    column: str = "label",
    feature: Any = None,
    images: list[Any] | None = None,
    split: list[str] | None = None,
    rows_in_group: int | None = None,
) -> Path:
    count = len(labels) if labels is not None else len(images or SHADES)
    images = images or [{"bytes": png(shade), "path": None} for shade in SHADES[:count]]
    columns: dict[str, Any] = {"image": images}
    if labels is not None:
        columns[column] = labels
    if split is not None:
        columns["split"] = split
    table = pa.table(columns)
    if feature is not None:
        features = {"image": {"_type": "Image"}, column: feature}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=rows_in_group)
    return path


def write_npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


# Folders


def test_the_folder_that_an_image_lies_in_is_its_class_however_deep(tmp_path: Path) -> None:
    source = open_source(write(tmp_path, "animals/dog/1.png", "animals/cat/1.png", "car/1.png", "top.png"))
    assert source.class_names == ("animals/cat", "animals/dog", "car")
    named = dict(zip(keys(source), label_names(source), strict=True))
    assert named == {
        "animals/dog/1.png": ["animals/dog"],
        "animals/cat/1.png": ["animals/cat"],
        "car/1.png": ["car"],
        "top.png": [],
    }
    assert dict(zip(keys(source), shades(source), strict=True))["car/1.png"] == SHADES[2]
    assert source.has_label().tolist() == [bool(names) for names in label_names(source)]


def test_a_folder_of_images_alone_has_no_labels(tmp_path: Path) -> None:
    source = open_source(write(tmp_path, "b.png", "a.png"))
    assert keys(source) == ["a.png", "b.png"]
    assert source.labels is None
    assert source.class_names == ()
    assert not source.has_label().any()


def test_hidden_files_and_what_systems_leave_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path, "a/1.png", "a/.hidden.png", ".cache/2.png", "a/.thumbs/3.png", "a/Thumbs.db", "desktop.ini")
    assert keys(open_source(tmp_path)) == ["a/1.png"]


def test_other_files_are_listed_and_found_out_when_they_are_read(tmp_path: Path) -> None:
    write(tmp_path, "a/1.png")
    (tmp_path / "a" / "notes").write_text("no picture")
    (tmp_path / "a" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    source = open_source(tmp_path)
    assert keys(source) == ["a/1.png", "a/gone.png", "a/notes"]
    assert source.fingerprint(1) == (-1, -1)
    for item in (1, 2):
        with pytest.raises(UnreadableImage, match=r"."):
            source.image(item)


def test_links_to_folders_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", "9.png")
    photos = write(tmp_path / "photos", "a/1.png")
    (photos / "a" / "loop").symlink_to(photos, target_is_directory=True)
    (photos / "a" / "self").symlink_to(photos / "a", target_is_directory=True)
    (photos / "b").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    source = open_source(photos)
    assert keys(source) == ["a/1.png", "b/9.png"]
    assert label_names(source) == [["a"], ["b"]]


def test_a_split_of_a_folder_is_the_sub_folder_of_that_name(tmp_path: Path) -> None:
    write(tmp_path, "train/a/1.png", "train/b/2.png", "test/b/3.png")
    source = open_source(f"{tmp_path}:train")
    assert keys(source) == ["a/1.png", "b/2.png"]
    assert source.class_names == ("a", "b")
    assert keys(open_source(tmp_path, split="test")) == ["b/3.png"]
    assert keys(open_source(f"{tmp_path}:test", split="test")) == ["b/3.png"]
    assert open_source(f"{tmp_path}:test").identity != source.identity


def test_a_folder_is_refused_where_it_holds_nothing_or_not_that_split(tmp_path: Path) -> None:
    (tmp_path / "empty" / "deeper").mkdir(parents=True)
    assert "empty" in refusal(lambda: open_source(tmp_path / "empty"))
    assert "'valid'" in refusal(lambda: open_source(f"{tmp_path}:valid"))


# Tables of paths


def test_a_table_lists_paths_beside_it_in_its_own_order(tmp_path: Path) -> None:
    write(tmp_path, "b.png", "deep/a.png")
    outside = write(tmp_path.parent / "outside", "c.png") / "c.png"
    table = write_csv(tmp_path, "label,path,more", "cat,deep/a.png,1", ",b.png,2", f"dog,{outside},3")
    source = open_source(table)
    assert shades(source) == [SHADES[1], SHADES[0], SHADES[0]]
    assert keys(source)[:2] == ["deep/a.png", "b.png"]
    assert label_names(source) == [["cat"], [], ["dog"]]
    assert source.labels is not None
    assert source.labels.tolist() == [0, -1, 1]


def test_bars_separate_labels_and_make_all_rows_label_sets(tmp_path: Path) -> None:
    write(tmp_path, "a.png")
    source = open_source(write_csv(tmp_path, "path,label", "a.png,sea| sky", "a.png,sky", "a.png,"))
    assert source.multi_label
    assert source.class_names == ("sea", "sky")
    assert label_names(source) == [["sea", "sky"], ["sky"], []]
    assert source.has_label().tolist() == [True, True, False]


def test_a_byte_order_mark_as_spreadsheets_write_it_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    table = write_csv(write(tmp_path, "ä.png"), "path,label", "ä.png,Käse", encoding="utf-8-sig", name="T.CSV")
    assert label_names(open_source(table)) == [["Käse"]]
    assert shades(open_source(table)) == [SHADES[0]]


def test_a_split_of_a_table_keeps_its_rows(tmp_path: Path) -> None:
    write(tmp_path, "a.png", "b.png", "c.png")
    table = write_csv(tmp_path, "path,label,split", "a.png,x,train", "b.png,y,test", "c.png,y,train")
    source = open_source(f"{table}:train")
    assert keys(source) == ["a.png", "c.png"]
    assert label_names(source) == [["x"], ["y"]]
    assert len({source.identity, open_source(table).identity, open_source(table, split="test").identity}) == 3


@pytest.mark.parametrize(
    ("lines", "split", "words"),
    [
        (["file,label", "a.png,x"], None, ["'path'", "file", "label"]),
        ([], None, ["'path'"]),
        (["path,label"], None, ["no images"]),
        (["path,label", "a.png,x", ",y"], None, ["empty path", "line 3"]),
        (["label,path", "x"], None, ["empty path", "line 2"]),
        (["path,split", "a.png,test", "", "a.png,train", ",train"], "train", ["empty path", "line 5"]),
        (["path,label", "a.png,x"], "train", ["'split'", "'train'"]),
        (["path,split", "a.png,test"], "train", ["no images", "'train'"]),
    ],
)
def test_a_table_is_refused_with_what_it_lacks(
    tmp_path: Path, lines: list[str], split: str | None, words: list[str]
) -> None:
    table = write_csv(tmp_path, *lines)
    sentence = refusal(lambda: open_source(table, split))
    assert str(table) in sentence
    assert all(word in sentence for word in words)


def test_a_table_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    assert "UTF-8" in refusal(lambda: open_source(write_csv(tmp_path, "path", "ä.png", encoding="utf-16")))


# Parquet files


def test_class_names_come_from_the_metadata_that_hugging_face_writes(tmp_path: Path) -> None:
    feature = {"_type": "ClassLabel", "names": ["cat", "dog", "emu"]}
    source = open_source(write_parquet(tmp_path / "a.parquet", [2, 0, None, -1], feature=feature))
    assert source.class_names == ("cat", "dog", "emu")
    assert label_names(source) == [["emu"], ["cat"], [], []]
    assert shades(source) == list(SHADES[:4])


@pytest.mark.parametrize("column", ["label", "labels"])
@pytest.mark.parametrize(
    "feature",
    [
        {"_type": "Sequence", "feature": {"_type": "ClassLabel", "names": ["cat", "dog", "emu"]}},
        {"_type": "List", "feature": {"_type": "ClassLabel", "names": ["cat", "dog", "emu"]}},
        [{"_type": "ClassLabel", "names": ["cat", "dog", "emu"]}],
    ],
)
def test_lists_of_class_numbers_are_label_sets(tmp_path: Path, column: str, feature: Any) -> None:
    path = write_parquet(tmp_path / "a.parquet", [[0, 2], [], None, [1]], column=column, feature=feature)
    source = open_source(path)
    assert source.labels is not None
    assert source.labels.shape == (4, 3)
    assert label_names(source) == [["cat", "emu"], [], [], ["dog"]]


@pytest.mark.parametrize(
    ("labels", "names", "wanted"),
    [
        ([3, 0], ("0", "1", "2", "3"), [["3"], ["0"]]),
        ([[2, 1], [1]], ("0", "1", "2"), [["1", "2"], ["1"]]),
        (["dog", "cat", None, ""], ("cat", "dog"), [["dog"], ["cat"], [], []]),
        ([["dog", "cat"], None, ["cat"]], ("cat", "dog"), [["cat", "dog"], [], ["cat"]]),
        ([["dog", None], ["cat"]], ("cat", "dog"), [["dog"], ["cat"]]),
        ([[1, None], [0]], ("0", "1"), [["1"], ["0"]]),
        ([[-1], [0, 1]], ("0", "1"), [[], ["0", "1"]]),
    ],
)
def test_labels_may_be_numbers_or_names_or_lists_of_them(
    tmp_path: Path, labels: list[Any], names: tuple[str, ...], wanted: list[list[str]]
) -> None:
    source = open_source(write_parquet(tmp_path / "a.parquet", labels))
    assert source.class_names == names
    assert label_names(source) == wanted


def test_images_may_be_bare_bytes_or_files_beside_the_table_or_missing(tmp_path: Path) -> None:
    assert shades(open_source(write_parquet(tmp_path / "bare.parquet", images=[png(7), png(9)]))) == [7, 9]
    write(tmp_path, "there.png")
    rows = [{"bytes": None, "path": name} for name in ("there.png", "gone.png", None)]
    source = open_source(write_parquet(tmp_path / "a.parquet", images=[*rows, None]))
    assert source.labels is None
    assert source.image(0).getpixel((0, 0))[0] == SHADES[0]
    for item, reason in ((1, "gone.png"), (2, "no image"), (3, "no image")):
        with pytest.raises(UnreadableImage, match=reason):
            source.image(item)


@pytest.mark.parametrize("rows_in_group", [1, 4, 6])
def test_rows_are_found_in_any_order_across_row_groups(
    tmp_path: Path, rows_in_group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hashlens.sources.parquet.KEPT_BYTES", 1)  # only the last group stays in memory
    source = open_source(write_parquet(tmp_path / "a.parquet", list(range(6)), rows_in_group=rows_in_group))
    order = [5, 0, 3, 1, 4, 2, 5]
    assert shades(source.select(order)) == [SHADES[item] for item in order]


def test_a_parquet_source_goes_through_pickle_to_other_processes(tmp_path: Path) -> None:
    source = open_source(write_parquet(tmp_path / "a.parquet", [1, 0, 1], rows_in_group=2))
    assert shades(source) == list(SHADES[:3])
    selected = source.select([2, 0])
    for before in (source, selected):
        after = pickle.loads(pickle.dumps(before))
        assert (shades(after), keys(after), label_names(after)) == (
            shades(before),
            keys(before),
            label_names(before),
        )


def test_a_split_of_a_parquet_file_keeps_its_rows_with_their_keys(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", ["x", "y", "z"], split=["train", "test", "train"])
    whole, part = open_source(path), open_source(f"{path}:train")
    assert shades(part) == [SHADES[0], SHADES[2]]
    assert label_names(part) == [["x"], ["z"]]
    assert part.class_names == whole.class_names
    assert keys(part) == [whole.key(0), whole.key(2)]
    assert part.identity != whole.identity
    assert "'valid'" in refusal(lambda: open_source(path, split="valid"))


def test_a_folder_of_shards_is_one_source_and_classes_are_the_same_where_their_names_are(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train-00000-of-00002.parquet", ["dog", "cat"])
    write_parquet(tmp_path / "train-00001-of-00002.parquet", ["emu", "dog", "cat"])
    write_parquet(tmp_path / "test.parquet", ["emu"])
    whole, train = open_source(tmp_path), open_source(f"{tmp_path}:train")
    assert label_names(whole) == [["emu"], ["dog"], ["cat"], ["emu"], ["dog"], ["cat"]]
    assert label_names(train) == [["dog"], ["cat"], ["emu"], ["dog"], ["cat"]]
    assert shades(train) == [*SHADES[:2], *SHADES[:3]]
    assert train.labels is not None
    assert train.labels[0] == train.labels[3]
    assert len(set(keys(whole))) == len({whole.location(item) for item in range(6)}) == 6
    assert shades(pickle.loads(pickle.dumps(train)).select([4, 0])) == [SHADES[2], SHADES[0]]
    assert "valid" in refusal(lambda: open_source(tmp_path, split="valid"))


def test_shards_of_which_one_has_no_labels_have_none_together(tmp_path: Path) -> None:
    write_parquet(tmp_path / "1.parquet", ["dog"])
    write_parquet(tmp_path / "2.parquet")
    source = open_source(tmp_path)
    assert len(source) == 1 + len(SHADES)
    assert source.labels is None


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["cat", None, "dog"], [["cat"], [], ["dog"]]),
        ([3, 1, 3], [["3"], ["1"], ["3"]]),
        ([3, None, 1], [["3"], [], ["1"]]),  # which pandas writes as floats
        ([["a", "b"], [], ["b"]], [["a", "b"], [], ["b"]]),
        ([["a"], ["b"], ["a"]], [["a"], ["b"], ["a"]]),
    ],
)
@pytest.mark.parametrize("column", ["label", "labels", "class"])
def test_a_table_of_embeddings_is_the_features_that_its_data_frame_is(
    tmp_path: Path, labels: list[Any], names: list[list[str]], column: str
) -> None:
    x = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    frame = pandas.DataFrame({"path": ["a", "b", "c"], "embedding": list(x), column: labels}, index=[5, 6, 7])
    frame.to_parquet(tmp_path / "emb.parquet")
    for source in (open_source(tmp_path / "emb.parquet"), as_source(frame)):
        np.testing.assert_array_equal(source.features(), x)
        assert label_names(source) == names


def test_embeddings_have_splits_shards_and_declared_names(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    info = {"info": {"features": {"label": {"_type": "ClassLabel", "names": ["cat", "dog", "emu"]}}}}
    for name, rows in (("train-0", slice(4)), ("train-1", slice(4, 6))):
        columns = {"vector": list(x[rows]), "label": [0, 2, 0, 2][: len(x[rows])]}
        columns["split"] = ["one", "two", "one", "two"][: len(x[rows])]
        table = pa.table(columns).replace_schema_metadata({"huggingface": json.dumps(info)})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    first = open_source(tmp_path / "train-0.parquet")
    assert first.class_names == ("cat", "dog", "emu") and label_names(first)[1] == ["emu"]
    np.testing.assert_array_equal(open_source(f"{tmp_path}/train-0.parquet:two").features(), x[[1, 3]])
    joined = open_source(f"{tmp_path}:train")
    np.testing.assert_array_equal(joined.features(), x)
    np.testing.assert_array_equal(joined.features([5, 0, 4]), x[[5, 0, 4]])
    np.testing.assert_array_equal(joined.select([4, 1]).features(), x[[4, 1]])
    assert joined.feature_dimension == 4 and label_names(joined)[4:] == [["cat"], ["emu"]]
    write_parquet(tmp_path / "train-2.parquet", ["x"])
    assert "holds features of length 4, but" in refusal(lambda: open_source(tmp_path, "train"))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"picture": ["x"]}, "needs a column 'image', or one of vectors"),
        ({"a": [[1.0]], "b": [[1.0]]}, "2 columns of vectors, such as a and b"),
        ({"a": [[1.0], [1.0, 2.0]]}, "not of one length"),
        ({"a": [[1.0], None]}, "not of one length"),
        ({"a": [[1.0], [float("nan")]]}, "NaN or infinity in row 1"),
        ({"a": pa.array([], pa.list_(pa.float32()))}, "no features"),
        ({"a": [["x"]]}, "needs a column 'image', or one of vectors"),
        ({"image": ["x"]}, "string"),
        ({"image": pa.array([], pa.binary())}, "no images"),
        ({"image": [b"x"], "label": [0.5]}, "labels of type"),
        ({"image": [b"x"], "label": [-2]}, "-2"),
        ({"image": [b"x"], "label": [[-2]]}, "-2"),
    ],
)
def test_a_parquet_file_is_refused_with_what_is_wrong_in_it(
    tmp_path: Path, columns: dict[str, Any], words: str
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert words in refusal(lambda: open_source(tmp_path / "a.parquet"))


@pytest.mark.parametrize("labels", [[0, 3], [[0], [3]]])
def test_a_class_number_beyond_the_declared_names_is_refused(tmp_path: Path, labels: Any) -> None:
    path = write_parquet(tmp_path / "a.parquet", labels, feature={"_type": "ClassLabel", "names": ["cat", "dog"]})
    assert "2 classes" in refusal(lambda: open_source(path))


def test_a_damaged_parquet_file_is_refused_or_its_rows_unreadable(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", [0, 1, 2])
    content = path.read_bytes()
    for damaged in (b"", b"words", content[: len(content) // 2]):
        path.write_bytes(damaged)
        assert "not a parquet file" in refusal(lambda: open_source(path))


def test_a_parquet_file_whose_columns_are_damaged_is_refused(tmp_path: Path) -> None:
    """With its footer whole, and so its schema."""
    path = tmp_path / "a.parquet"
    columns = {"image": [png(shade) for shade in SHADES[:3]], "label": [0, 1, 2], "vector": [[0.5, 1.0]] * 3}
    pq.write_table(pa.table(columns), path, use_dictionary=False)
    content, group = path.read_bytes(), pq.read_metadata(path).row_group(0)
    places = {group.column(i).path_in_schema.partition(".")[0]: group.column(i).data_page_offset for i in range(3)}
    for name, use in (("label", open_source), ("vector", lambda path: open_source(path).vectors("vector"))):
        path.write_bytes(content[: places[name]] + b"\xff" * 8 + content[places[name] + 8 :])
        assert "is damaged" in refusal(lambda use=use: use(path))


# Features


def test_features_come_with_numbers_and_names_and_row_keys(tmp_path: Path) -> None:
    x = np.arange(6.0).reshape(3, 2)
    path = write_npz(tmp_path / "a.npz", x=x, y=np.array([1, -1, 0]), class_names=np.array(["cat", "dog"]))
    source = open_source(path)
    assert source.feature_dimension == 2
    assert source.features().dtype == np.float32
    np.testing.assert_array_equal(source.features(), x)
    assert label_names(source) == [["dog"], [], ["cat"]]
    assert len(set(keys(source))) == 3


@pytest.mark.parametrize(
    ("y", "wanted"),
    [
        (np.array([2, 0], np.uint8), [["2"], ["0"]]),
        (np.array(["dog", "cat"]), [["dog"], ["cat"]]),
        (np.array([b"dog", b"cat"]), [["dog"], ["cat"]]),
        (np.array(["dog", ""]), [["dog"], []]),
        (np.array([[1, 0, 1], [0, 0, 0]]), [["0", "2"], []]),
        (np.array([[True, False], [False, True]]), [["0"], ["1"]]),
        (np.array([[0.0, 1.0], [1.0, 1.0]]), [["1"], ["0", "1"]]),
    ],
)
def test_labels_of_features_may_be_numbers_names_or_multi_hot(
    tmp_path: Path, y: np.ndarray, wanted: list[list[str]]
) -> None:
    source = open_source(write_npz(tmp_path / "a.npz", x=np.ones((2, 3)), y=y))
    assert label_names(source) == wanted
    assert source.multi_label == (y.ndim == 2)


def test_a_split_of_features_keeps_its_rows_with_their_keys(tmp_path: Path) -> None:
    split = np.array(["train", "test", "train"])
    path = write_npz(tmp_path / "a.npz", x=np.eye(3), y=np.array([0, 1, 2]), split=split)
    whole, part = open_source(path), open_source(f"{path}:train")
    assert part.feature_dimension == 3
    np.testing.assert_array_equal(part.features(), np.eye(3)[[0, 2]])
    assert keys(part) == [whole.key(0), whole.key(2)]
    assert label_names(part) == [["0"], ["2"]]
    assert part.identity != whole.identity
    assert part.location(1) != whole.location(1)


class Trap:
    """Unpickling it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("name", ["x", "y", "class_names", "split", "other"])
def test_pickled_objects_among_features_are_refused_and_their_code_is_not_run(tmp_path: Path, name: str) -> None:
    objects = np.array([Trap(tmp_path / "mark")], object)
    arrays: dict[str, Any] = {"x": np.ones((1, 2)), name: objects}
    path = write_npz(tmp_path / "a.npz", **arrays)
    assert "plain arrays" in refusal(lambda: open_source(path))
    assert not (tmp_path / "mark").exists()
    with np.load(path, allow_pickle=True) as file:  # the trap does work
        assert file[name] is not None
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"features": np.ones((2, 2))}, "'x'"),
        ({"x": np.ones(4)}, "(4,)"),
        ({"x": np.ones((2, 2, 2))}, "(2, 2, 2)"),
        ({"x": np.array([["a", "b"]])}, "(N, D) real numbers"),
        ({"x": np.ones((2, 2), complex)}, "complex"),
        ({"x": np.array([[0, 1], [np.nan, 1], [np.inf, 1]])}, "row 1"),
        ({"x": np.ones((0, 3))}, "no features"),
        ({"x": np.ones((2, 2)), "y": np.zeros(3, int)}, "3 in 'y'"),
        ({"x": np.ones((2, 2)), "y": np.full(2, 0.5)}, "'y'"),
        ({"x": np.ones((2, 2)), "y": np.full((2, 2), 2)}, "'y'"),
        ({"x": np.ones((2, 2)), "y": np.array(1)}, "'y'"),
        ({"x": np.ones((2, 2)), "y": np.array([0, -2])}, "-2"),
        ({"x": np.ones((2, 2)), "y": np.array([0, 2]), "class_names": np.array(["a", "b"])}, "2 classes"),
        ({"x": np.ones((2, 2)), "y": np.eye(2), "class_names": np.array(["a"])}, "1 class names"),
    ],
)
def test_features_are_refused_with_what_is_wrong_in_them(
    tmp_path: Path, arrays: dict[str, np.ndarray], words: str
) -> None:
    path = write_npz(tmp_path / "a.npz", **arrays)
    assert words in refusal(lambda: open_source(path))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({}, "'split'"),
        ({"split": np.array(["test", "test"])}, "'train'"),
        ({"split": np.array(["train"])}, "split"),
    ],
)
def test_a_split_that_features_do_not_have_is_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], words: str
) -> None:
    path = write_npz(tmp_path / "a.npz", x=np.ones((2, 2)), **arrays)
    assert words in refusal(lambda: open_source(path, split="train"))


@pytest.mark.parametrize("damage", ["empty", "words", "one array", "cut", "overwritten"])
def test_a_damaged_file_of_features_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.random.default_rng(0).random((50, 8)))
    content = bytearray(path.read_bytes())
    if damage == "one array":
        with path.open("wb") as file:
            np.save(file, np.ones((2, 2)))
    else:
        middle = len(content) // 2
        content[middle : middle + 99] = bytes(99)
        changed = {"empty": b"", "words": b"some words", "cut": content[:middle], "overwritten": content}
        path.write_bytes(changed[damage])
    assert "plain arrays" in refusal(lambda: open_source(path))


# Named sets, single files and other words


def test_digits_have_a_training_and_a_test_part_and_both_without_a_split() -> None:
    train, test, whole = (open_source(name) for name in ("digits:train", "digits:test", "digits"))
    assert len(train) + len(test) == len(whole) == 1797
    assert len(train) > 2 * len(test)
    assert whole.class_names == tuple("0123456789")
    for part in (train, test):
        assert isinstance(part, ImageArray)
        assert set(np.unique(part.labels)) == set(range(10))
    pixels = np.asarray(whole.image(0))
    assert pixels.shape == (8, 8, 3)
    assert (pixels.min(), pixels.max()) == (0, 239)  # 15 of 16 is the lightest that the first digit has
    assert label_names(whole.select([0, 1, 2])) == [["0"], ["1"], ["2"]]
    assert len({train.identity, test.identity, whole.identity}) == 3


def test_one_image_file_is_a_source_of_one(tmp_path: Path) -> None:
    path = write(tmp_path, "a.png", "b.png") / "b.png"
    source = open_source(str(path))
    assert keys(source) == ["b.png"]
    assert shades(source) == [SHADES[1]]
    assert source.location(0) == str(path)
    assert source.labels is None
    assert source.identity != open_source(tmp_path / "a.png").identity


def test_a_colon_in_a_path_that_exists_chooses_no_split(tmp_path: Path) -> None:
    write(tmp_path, "a/1.png", "a:b/2.png")
    assert keys(open_source(f"{tmp_path}/a:b")) == ["2.png"]


@pytest.mark.parametrize(
    ("name", "split", "words"),
    [
        ("nowhere", None, ["nowhere", "digits"]),
        ("nowhere:train", None, ["nowhere"]),
        ("", None, ["empty"]),
        ("digits:valid", None, ["'valid'", "'train'", "'test'"]),
        ("digits:train", "test", ["'train'", "'test'"]),
    ],
)
def test_other_words_are_refused(name: str, split: str | None, words: list[str]) -> None:
    sentence = refusal(lambda: open_source(name, split))
    assert all(word in sentence for word in words)


def test_a_split_of_one_image_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "a.png") / "a.png"
    assert "'train'" in refusal(lambda: open_source(f"{path}:train"))


# What programs hold


def test_a_source_is_passed_on_and_a_path_is_opened(tmp_path: Path) -> None:
    source = open_source(write(tmp_path, "a/1.png"))
    assert as_source(source) is source
    for path in (tmp_path, str(tmp_path)):
        assert keys(as_source(path)) == ["a/1.png"]


@pytest.mark.parametrize("sequence", [list, tuple])
def test_paths_of_image_files_are_a_source_in_their_order(tmp_path: Path, sequence: type) -> None:
    write(tmp_path, "a.png", "b.png")
    source = as_source(sequence([tmp_path / "b.png", str(tmp_path / "a.png")]))
    assert shades(source) == [SHADES[1], SHADES[0]]
    assert [source.location(item) for item in (0, 1)] == [str(tmp_path / "b.png"), str(tmp_path / "a.png")]
    assert source.labels is None


def test_pillow_images_are_a_source() -> None:
    assert shades(as_source(picture(77, "L"))) == [77]
    source = as_source([picture(7), picture(9, "RGBA"), picture(11, "P")])
    assert shades(source) == [7, 9, 11]
    assert len(set(keys(source))) == 3


@pytest.mark.parametrize("mode", ["RGBA", "I;16", "P", "orientation"])
def test_a_pillow_image_looks_as_its_file_does(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGBA" if mode == "RGBA" else "I;16" if mode == "I;16" else "RGB", (4, 2))
    image.putpixel((0, 0), {"RGBA": (200, 0, 0, 0), "I;16": 30_000}.get(mode, (200, 0, 0)))
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"exif": exif} if mode == "orientation" else {"transparency": 0} if mode == "P" else {}
    (image.quantize(4) if mode == "P" else image).save(tmp_path / "a.png", **options)
    from_file = as_source(tmp_path / "a.png").image(0)
    with Image.open(tmp_path / "a.png") as opened:
        from_pillow = as_source(opened).image(0)
    assert from_pillow.size == from_file.size
    np.testing.assert_array_equal(np.asarray(from_pillow), np.asarray(from_file))


def test_a_pillow_image_of_a_truncated_file_is_unreadable_like_the_file(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:5000])
    with Image.open(tmp_path / "a.png") as opened, pytest.raises(UnreadableImage, match="truncated"):
        as_source(opened).image(0)


def test_pixels_and_features_are_told_apart() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3), np.uint8)
    images = as_source(pixels)
    assert isinstance(images, ImageArray)
    np.testing.assert_array_equal(np.asarray(images.image(2)), pixels[2])
    for given, shape in ((np.ones((4, 3)), (4, 3)), ([1.0, 2.0, 3.0], (1, 3)), ([[1, 2], [3, 4]], (2, 2))):
        features = as_source(given)
        assert isinstance(features, FeatureArray)
        assert features.features().shape == shape
        assert features.features().dtype == np.float32


@pytest.mark.parametrize(
    "items",
    [None, {}, [], (), object(), ["a.png", 3], [picture(1), 3.0], [[1.0], [1.0, 2.0]], 5 + 1j, 3.0],
)  # fmt: skip
def test_what_is_neither_images_nor_features_is_refused(items: Any) -> None:
    assert type(items).__name__ in refusal(lambda: as_source(items))


@pytest.mark.parametrize(
    ("items", "says"),
    [
        (np.array([[0, 1], [np.nan, 1], [np.inf, 1]]), "features holds NaN or infinity in row 1 (2 such rows)."),
        (torch.tensor([[0, torch.nan]]), "features holds NaN or infinity in row 0 (1 such rows)."),
        ([float("inf")], "features holds NaN or infinity in row 0 (1 such rows)."),
        (iter([np.eye(2), [[0.0, np.inf]]]), "batch 1 holds NaN or infinity in row 0 (1 such rows)."),
        (np.array([[0, 1], [1e300, 1]]), "features holds numbers beyond what float32 can hold in row 1"),
        (np.ones((5, 8, 8)), "(N, D) real numbers, a row for each item, not float64 of shape (5, 8, 8)."),
        (torch.ones(5, 8, 8), "not float32 of shape (5, 8, 8)."),
        (np.ones((2, 3), complex), "not complex128 of shape (2, 3)."),
        (np.array([["1", "2"]]), "not <U1 of shape (1, 2)."),
        (np.array(["1", "2"]), "not <U1 of shape"),
        ([["a"], ["b"]], "not <U1 of shape (2, 1)."),
        ([[1, None]], "not object of shape (1, 2)."),
    ],
)
def test_arrays_are_refused_with_what_is_wrong_in_them(items: Any, says: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert says in refusal(lambda: as_source(items))


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64, torch.int32, torch.bool])
def test_tensors_of_every_kind_of_number_are_features(kind: torch.dtype) -> None:
    found = as_source(torch.eye(3).to(kind)).features()
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.eye(3))


def test_a_column_of_vectors_is_features() -> None:
    rows = np.fromiter(([0.5, 1], [1, 0]), object, 2)
    np.testing.assert_array_equal(as_source(rows).features(), [[0.5, 1], [1, 0]])


# What all sources have in common


def every_kind(folder: Path) -> dict[str, Source]:
    names = ("x/0.png", "x/1.png", "y/2.png", "y/3.png", "y/4.png", "z/5.png")
    photos = write(folder / "photos", *names)
    labels = [Path(name).parent.name for name in names]
    rows = [f"photos/{name},{label}" for name, label in zip(names, labels, strict=True)]
    contents = [png(shade) for shade in SHADES]
    write_parquet(folder / "shards" / "a.parquet", labels[:2], images=contents[:2])
    write_parquet(folder / "shards" / "b.parquet", labels[2:], images=contents[2:])
    pixels = np.stack([np.asarray(picture(shade)) for shade in SHADES])
    numbers = np.array([0, 0, 1, 1, 1, 2])
    return {
        "folder": open_source(photos),
        "csv": open_source(write_csv(folder, "path,label", *rows)),
        "parquet": open_source(write_parquet(folder / "one.parquet", labels)),
        "shards": open_source(folder / "shards"),
        "npz": open_source(write_npz(folder / "a.npz", x=np.eye(6), y=np.array(labels))),
        "array": ImageArray("mine", pixels, numbers, tuple("xyz")),
        "paths": as_source([photos / name for name in names]),
        "pillow": as_source([picture(shade) for shade in SHADES]),
    }


KINDS = ["folder", "csv", "parquet", "shards", "npz", "array", "paths", "pillow"]


@pytest.mark.parametrize("kind", KINDS)
def test_keys_and_locations_are_unique_and_the_same_when_opened_again(tmp_path: Path, kind: str) -> None:
    source, again = every_kind(tmp_path)[kind], every_kind(tmp_path)[kind]
    items = range(len(source))
    assert len(source) == len(set(keys(source))) == len({source.location(item) for item in items}) == 6
    assert keys(again) == keys(source)
    assert [again.location(item) for item in items] == [source.location(item) for item in items]
    assert again.identity == source.identity


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("chosen", "wanted"), [([4, 0, 5], [4, 0, 5]), (np.arange(6) % 2 == 0, [0, 2, 4]), ([], []), ([1, 1], [1, 1])]
)
def test_selected_items_keep_what_they_are(tmp_path: Path, kind: str, chosen: Any, wanted: list[int]) -> None:
    source = every_kind(tmp_path)[kind]
    selected = source.select(chosen)
    assert len(selected) == len(wanted)
    assert keys(selected) == [source.key(item) for item in wanted]
    assert label_names(selected) == [source.label_names(item) for item in wanted]
    assert selected.has_label().tolist() == [bool(source.label_names(item)) for item in wanted]
    for place, item in enumerate(wanted):
        assert selected.location(place) == source.location(item)
        assert selected.fingerprint(place) == source.fingerprint(item)
    assert (selected.class_names, selected.identity) == (source.class_names, source.identity)
    if selected.feature_dimension is not None:
        np.testing.assert_array_equal(selected.features(), np.eye(6)[wanted])
    else:
        assert shades(selected) == [SHADES[item] for item in wanted]
    assert keys(selected.select(list(range(len(wanted)))[::-1])) == keys(selected)[::-1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_of_another_length_is_refused(tmp_path: Path, kind: str) -> None:
    source = every_kind(tmp_path)[kind]
    assert "6 items" in refusal(lambda: source.select(np.ones(5, bool)))


@pytest.mark.parametrize("kind", ["folder", "csv", "paths"])
def test_the_fingerprint_of_a_file_changes_when_the_file_does(tmp_path: Path, kind: str) -> None:
    source = every_kind(tmp_path)[kind]
    before = [source.fingerprint(item) for item in range(6)]
    path = Path(source.location(3))
    path.write_bytes(path.read_bytes() + b"more")
    after = [source.fingerprint(item) for item in range(6)]
    assert [one != other for one, other in zip(before, after, strict=True)] == [False] * 3 + [True] + [False] * 2


def test_the_fingerprint_of_a_feature_is_of_its_row_alone(tmp_path: Path) -> None:
    x = np.eye(3)
    before = open_source(write_npz(tmp_path / "a.npz", x=x))
    x[1, 1] = 2
    after = open_source(write_npz(tmp_path / "a.npz", x=x))
    assert [before.fingerprint(item) == after.fingerprint(item) for item in range(3)] == [True, False, True]


def test_sources_of_one_place_have_identities_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = every_kind(tmp_path)
    monkeypatch.chdir(tmp_path / "photos")
    sources["here"] = open_source(tmp_path)
    sources["other paths"] = as_source(["x/0.png"])
    assert len({source.identity for source in sources.values()}) == len(sources)
    assert open_source(".").identity == sources["folder"].identity  # however the place is written
    assert open_source(".").identity != sources["other paths"].identity


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nope.jpg", "There is no file nope.jpg."),
        ("photos.csv:train", "There is no file photos.csv."),
        ("here/nope.jpg", "There is no file nope.jpg in here."),
        ("away/deep/nope.jpg", "There is no file away/deep/nope.jpg, for there is no folder away."),
        ("here/cats", "There is no file or folder cats in here."),
        ("fashon-mnist:train", "There is no file, folder or set fashon-mnist; is it fashion-mnist?"),
    ],
)
def test_a_name_of_nothing_is_said_plainly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    with pytest.raises(BadInput) as refused:
        open_source(text)
    assert str(refused.value) == says
    assert refusal(lambda: open_source("pictures")).startswith("There is no file, folder or set pictures; give ")


def test_an_address_that_is_not_understood_is_answered_with_what_is() -> None:
    assert "is nothing that can be opened; give " in refusal(lambda: open_source("s3://photos/a"))
