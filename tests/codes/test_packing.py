"""The bit order, bit by bit, and every form of codes that people may hand in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hashlens.codes import as_packed, binarize, pack, unpack
from hashlens.codes.packing import check_bits, to_words
from hashlens.errors import BadInput
from refusals import is_one_sentence

WIDTHS = [8, 9, 13, 16, 63, 64, 65, 128, 200]


def random_signs(count: int, bits: int, seed: int = 0) -> NDArray[np.int8]:
    return np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), (count, bits))


def packed_by_hand(signs: NDArray[np.int8]) -> list[list[int]]:
    rows = [["1" if sign > 0 else "0" for sign in row] for row in signs]
    padded = ["".join(row).ljust(-(-signs.shape[1] // 8) * 8, "0") for row in rows]
    return [[int(row[at : at + 8], 2) for at in range(0, len(row), 8)] for row in padded]


def test_first_bit_is_the_most_significant_of_the_first_byte() -> None:
    code = [1, -1, -1, -1, -1, -1, -1, -1, 1, 1, -1, -1, 1]
    assert pack(code).tolist() == [0b10000000, 0b11001000]


@settings(deadline=None, max_examples=150)
@given(bits=st.integers(8, 300), count=st.integers(0, 5), seed=st.integers(0, 2**32))
def test_pack_and_unpack_are_inverse(bits: int, count: int, seed: int) -> None:
    signs = random_signs(count, bits, seed)
    packed = pack(signs)
    assert packed.dtype == np.uint8
    assert packed.shape == (count, (bits + 7) // 8)
    assert packed.tolist() == packed_by_hand(signs)
    np.testing.assert_array_equal(packed, np.packbits(signs > 0, axis=1, bitorder="big"))
    restored = unpack(packed, bits)
    assert restored.dtype == np.int8
    np.testing.assert_array_equal(restored, signs)


def test_a_single_code_packs_and_unpacks() -> None:
    signs = random_signs(1, 13)[0]
    assert pack(signs).shape == (2,)
    np.testing.assert_array_equal(unpack(pack(signs), 13), signs)


def test_bits_are_one_above_the_threshold_only() -> None:
    values = np.array([[-0.1, 0.0, 0.1, 0.5, 0.6, 1.0, -2.0, 3.0]])
    assert binarize(values).tolist() == [[-1, -1, 1, 1, 1, 1, -1, 1]]
    assert binarize(values, 0.5).tolist() == [[-1, -1, -1, -1, 1, 1, -1, 1]]
    assert binarize(values).dtype == np.int8
    assert pack(values).tolist() == [[0b00111101]]
    assert pack(values, 0.5).tolist() == [[0b00001101]]


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize(
    "form",
    [
        pytest.param(lambda signs: signs, id="signs"),
        pytest.param(lambda signs: signs > 0, id="booleans"),
        pytest.param(lambda signs: (signs > 0).astype(np.int64), id="zeros and ones"),
        pytest.param(lambda signs: signs * np.float32(0.3), id="continuous"),
        pytest.param(lambda signs: np.asfortranarray(signs), id="columns first"),
        pytest.param(lambda signs: np.repeat(signs, 2, axis=1)[:, ::2], id="strided"),
        pytest.param(lambda signs: signs.tolist(), id="list"),
    ],
)
def test_every_form_of_unpacked_codes_packs_alike(bits: int, form) -> None:
    signs = random_signs(5, bits)
    for asked in (None, bits):
        packed, found = as_packed(form(signs), asked)
        assert found == bits
        assert packed.dtype == np.uint8
        assert packed.flags.c_contiguous
        assert packed.tolist() == packed_by_hand(signs)


@pytest.mark.parametrize("bits", WIDTHS)
def test_packed_codes_pass_through(bits: int) -> None:
    packed = pack(random_signs(5, bits))
    for form in (packed, np.asfortranarray(packed), np.repeat(packed, 2, axis=0)[::2]):
        kept, found = as_packed(form, bits)
        assert found == bits
        assert kept.flags.c_contiguous
        np.testing.assert_array_equal(kept, packed)
    assert as_packed(packed)[1] == 8 * packed.shape[1]


def test_one_code_alone_is_a_batch_of_one() -> None:
    signs = random_signs(1, 13)
    packed = pack(signs)
    for form, bits in ((signs[0], None), (signs[0] > 0, 13), (packed[0], 13)):
        batch, found = as_packed(form, bits)
        assert found == 13
        np.testing.assert_array_equal(batch, packed)


def test_no_codes_keep_their_length() -> None:
    packed, bits = as_packed(np.zeros((0, 13)))
    assert packed.shape == (0, 2)
    assert bits == 13


@pytest.mark.parametrize(
    ("codes", "bits", "says"),
    [
        pytest.param(np.array([[0.5] * 7 + [np.nan]]), None, "NaN", id="NaN"),
        pytest.param(np.array([[0.5] * 7 + [np.nan]], np.float16), None, "NaN", id="half NaN"),
        pytest.param(np.ones((2, 16)), 13, "16 columns, but 13", id="signs too long"),
        pytest.param(np.ones((2, 12), bool), 13, "12 columns, but 13", id="booleans too short"),
        pytest.param(np.zeros((2, 3), np.uint8), 13, "13 bits take 2 bytes", id="packed too long"),
        pytest.param(np.zeros((2, 1), np.uint8), 13, "13 bits take 2 bytes", id="packed too short"),
        pytest.param(np.zeros((2, 2, 2), np.uint8), None, "(2, 2, 2)", id="three dimensions"),
        pytest.param(np.ones((1, 2, 16)), None, "(1, 2, 16)", id="three dimensions of signs"),
        pytest.param(1.0, None, "()", id="a number"),
    ],
)
def test_wrong_codes_are_refused_in_a_sentence(codes, bits: int | None, says: str) -> None:
    with pytest.raises(BadInput) as error:
        as_packed(codes, bits)
    assert says in str(error.value)
    assert is_one_sentence(error)


@pytest.mark.parametrize("bits", [0, 7, 1025, -8, 8.5, float("nan"), float("inf"), None, "64"])
def test_code_lengths_out_of_range_are_refused(bits: Any) -> None:
    with pytest.raises(BadInput, match=str(bits)) as error:
        check_bits(bits)
    assert is_one_sentence(error)


@pytest.mark.parametrize("bits", [8, 13, 1024, np.int64(64), 16.0])
def test_code_lengths_in_range_come_back_as_int(bits: int) -> None:
    assert check_bits(bits) == bits
    assert type(check_bits(bits)) is int


@settings(deadline=None, max_examples=100)
@given(bits=st.integers(8, 300), count=st.integers(1, 6), seed=st.integers(0, 2**32))
def test_words_keep_hamming_distances(bits: int, count: int, seed: int) -> None:
    signs = random_signs(count, bits, seed)
    words = to_words(pack(signs))
    assert words.dtype == np.uint64
    assert words.shape == (-(-bits // 64), count)
    assert words.flags.c_contiguous
    for a in range(count):
        for b in range(count):
            pairs = zip(words[:, a].tolist(), words[:, b].tolist(), strict=True)
            assert sum((x ^ y).bit_count() for x, y in pairs) == (signs[a] != signs[b]).sum()


def test_words_of_no_codes() -> None:
    assert to_words(np.zeros((0, 13), np.uint8)).shape == (2, 0)
