"""Features that are found again by the content of an image, whatever happens to the file they are in."""

from __future__ import annotations

import os
import sqlite3
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hashlens.backbones import extract_features, feature_cache, load_backbone
from hashlens.backbones.feature_cache import FeatureCache
from hashlens.cache import cache_limit, set_cache_limit
from hashlens.sources import ImageArray
from hashlens.sources.content import DIGEST_BYTES, content_digest

FINGERPRINT = "0123456789abcdef" * 4
DIMENSION = 1280


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HASHLENS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def entries(count: int, seed: int = 0) -> list[tuple[bytes, NDArray[np.float32]]]:
    random = np.random.default_rng(seed)
    return [(random.bytes(DIGEST_BYTES), random.normal(size=DIMENSION).astype(np.float32)) for _ in range(count)]


def filled(count: int = 200) -> Path:
    with closing(FeatureCache(FINGERPRINT)) as cache:
        cache.put(entries(count))
    return cache.path


def known(cache: FeatureCache, count: int = 200) -> int:
    """How many of the entries are known; those that are must be right."""
    found = [(cache.get(digest), feature) for digest, feature in entries(count)]
    for one, feature in found:
        assert one is None or np.array_equal(one, feature)
    return sum(one is not None for one, _ in found)


def test_a_feature_is_found_again_to_the_last_bit_by_another_cache_object(own_folder: Path) -> None:
    path = filled()
    assert path.is_relative_to(own_folder)
    with closing(FeatureCache(FINGERPRINT)) as cache:
        assert known(cache) == 200
        found = cache.get(entries(1)[0][0])
        assert found is not None and found.dtype == np.float32 and found.shape == (DIMENSION,)
        assert cache.get(bytes(DIGEST_BYTES)) is None


def test_what_is_put_is_there_at_once_for_others() -> None:
    with closing(FeatureCache(FINGERPRINT)) as one, closing(FeatureCache(FINGERPRINT)) as other:
        one.put(entries(3))
        assert known(other, 3) == 3


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE features SET feature = zeroblob(length(feature))",
        "UPDATE features SET feature = substr(feature, 1, 3)",
        "UPDATE features SET feature = 'words'",
        "UPDATE features SET feature = (SELECT feature FROM features LIMIT 1 OFFSET 1) WHERE rowid = 1",
    ],
)
def test_a_feature_that_is_not_what_was_written_is_not_known_and_is_written_again(damage: str) -> None:
    path = filled(3)
    with closing(sqlite3.connect(path)) as rows, rows:
        rows.execute(damage)
    with closing(FeatureCache(FINGERPRINT)) as cache:
        assert known(cache, 3) < 3
        cache.put(entries(3))
        assert known(cache, 3) == 3


def test_a_file_with_another_table_in_the_place_of_ours_is_rebuilt() -> None:
    path = filled(3)
    with closing(sqlite3.connect(path)) as rows, rows:
        rows.execute("ALTER TABLE features RENAME COLUMN feature TO other")
    with closing(FeatureCache(FINGERPRINT)) as cache:
        with pytest.warns(UserWarning, match="was damaged"):
            assert known(cache, 3) == 0
        cache.put(entries(3))
        assert known(cache, 3) == 3


def test_caches_of_different_fingerprints_share_nothing() -> None:
    filled(3)
    with closing(FeatureCache(FINGERPRINT[::-1])) as cache:
        assert known(cache, 3) == 0


def test_putting_a_feature_twice_is_harmless() -> None:
    with closing(FeatureCache(FINGERPRINT)) as cache:
        cache.put(entries(3) + entries(3))
        cache.put(entries(4))
        assert known(cache, 4) == 4


@pytest.mark.parametrize("fingerprints", [[FINGERPRINT] * 4, [FINGERPRINT, FINGERPRINT[::-1]] * 2])
def test_several_caches_can_be_opened_and_filled_at_once(fingerprints: list[str]) -> None:
    def fill(number: int) -> int:
        with closing(FeatureCache(fingerprints[number])) as cache:
            for start in range(0, 40, 5):
                cache.put(entries(40, seed=number)[start : start + 5])
            return sum(cache.get(digest) is not None for digest, _ in entries(40, seed=number))

    with ThreadPoolExecutor(4) as pool, warnings.catch_warnings():
        warnings.simplefilter("error")  # no file is taken for damaged
        assert list(pool.map(fill, range(4))) == [40] * 4
    for number, fingerprint in enumerate(fingerprints):
        with closing(FeatureCache(fingerprint)) as cache:
            assert all(cache.get(digest) is not None for digest, _ in entries(40, seed=number))


def test_threads_can_share_one_cache_object() -> None:
    with closing(FeatureCache(FINGERPRINT)) as cache, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda entry: cache.put([entry]), entries(100)))
        assert all(feature is not None for feature in pool.map(cache.get, [digest for digest, _ in entries(100)]))


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: b"this is no database" * 1000, id="other content"),
        pytest.param(lambda content: content[: len(content) // 2], id="cut in half"),
        pytest.param(lambda content: b"\xff" * 100 + content[100:], id="header lost"),
        pytest.param(lambda content: content[:4096] + b"\x5a" * (len(content) - 4096), id="all but header lost"),
    ],
)
def test_a_file_found_damaged_when_opened_or_used_is_rebuilt_with_a_warning(damage) -> None:
    path = filled()
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(UserWarning, match=r"feature cache .* was damaged .* rebuilt"):
        cache = FeatureCache(FINGERPRINT)
        known(cache)  # right or not there, but never wrong
        cache.put(entries(200))
        assert known(cache) == 200
    cache.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with closing(FeatureCache(FINGERPRINT)) as again:
            assert known(again) == 200


@pytest.mark.parametrize("first_use", ["get", "put"])
def test_damage_in_the_middle_is_mended_when_it_is_met(first_use: str) -> None:
    path = filled()
    content = bytearray(path.read_bytes())
    content[32_768:] = b"\xa5" * (len(content) - 32_768)  # the first page, with the schema, is whole
    path.write_bytes(content)
    with closing(FeatureCache(FINGERPRINT)) as cache:
        with pytest.warns(UserWarning, match="was damaged"):
            if first_use == "get":
                assert known(cache) == 0
            else:
                cache.put(entries(200))
        cache.put(entries(200))
        assert known(cache) == 200


def test_a_file_that_is_only_in_use_by_another_is_not_thrown_away(monkeypatch: pytest.MonkeyPatch) -> None:
    path = filled()
    connect = sqlite3.connect
    monkeypatch.setattr(
        feature_cache.sqlite3, "connect", lambda *args, **kw: connect(*args, **{**kw, "timeout": 0.05})
    )
    with closing(FeatureCache(FINGERPRINT)) as waiting, closing(connect(path)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            waiting.put(entries(300))
        writer.rollback()
        assert known(waiting) == 200
        waiting.put(entries(300))
        assert known(waiting, 300) == 300


def test_the_oldest_features_make_room_for_new_ones_and_the_file_stops_growing() -> None:
    path = filled(400)
    set_cache_limit(path.stat().st_size)
    with closing(FeatureCache(FINGERPRINT)) as cache:
        for seed in range(1, 9):
            for start in range(0, 400, 50):
                cache.put(entries(400, seed)[start : start + 50])
        assert all(cache.get(digest) is not None for digest, _ in entries(400, seed=8)[-100:])
        assert known(cache, 400) == 0, "the first ones went"
    assert path.stat().st_size < 1.5 * cache_limit()


def test_files_of_backbones_that_are_not_used_any_more_go_first() -> None:
    old, other = filled(50), FINGERPRINT[::-1]
    with closing(FeatureCache(other)) as cache:
        cache.put(entries(200))
        set_cache_limit(old.stat().st_size + cache.path.stat().st_size - 100_000)
    with closing(FeatureCache(other)) as cache:
        cache.put(entries(210))
        assert old.exists(), "it was used just now"
    os.utime(old, (0, 0))
    with closing(FeatureCache(other)) as cache:
        cache.put(entries(220))
        assert not old.exists() and known(cache, 220) > 150


def test_a_limit_of_zero_turns_the_cache_off(own_folder: Path) -> None:
    set_cache_limit(0)
    pictures = ImageArray("pictures", np.zeros((3, 32, 32, 3), np.uint8))
    extract_features(pictures, load_backbone(image_size=32))
    assert not (own_folder / "features").exists()


def test_digests_differ_where_content_differs() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 6)
    contents = [
        b"",
        b"a",
        b"b",
        pixels.tobytes(),
        pixels,
        pixels.reshape(6, 4),
        pixels.reshape(2, 4, 3),
        pixels.T,
        pixels[::-1],
    ]
    digests = [content_digest(content) for content in contents]
    assert len(set(digests)) == len(contents)
    assert {len(digest) for digest in digests} == {DIGEST_BYTES}


def test_a_digest_does_not_depend_on_how_pixels_lie_in_memory() -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    for same in (pixels.copy(), np.asfortranarray(pixels), np.repeat(pixels, 2, axis=0)[::2]):
        assert content_digest(same) == content_digest(pixels)
