"""Damage to files: what a disk, a network, an editor or an enemy does to them, drawn from a seed."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

Files = dict[str, bytes]
Random = np.random.Generator

HEAD = 160  # bytes at the start, and as many at the end, where formats keep what leads elsewhere
EXTREME = (0, 1, -1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, -(2**31), 2**32 - 1, 2**62, 2**63 - 1, -(2**63))
WORDS = (
    b"0", b"-1", b"1e999", b"-1e999", b"NaN", b"nan", b"Infinity", b"null", b"true", b"[]", b"{}", b'""', b"''",
    b"99999999999999999999", b"9223372036854775807", b"-9223372036854775808", b"4294967296", b"2147483648",
    b"0.5", b"1e308", b"\x00", b"\xff\xfe", "é".encode(), "\ud800".encode(errors="surrogatepass"), b"../x", b"/",
    b"\n", b"\r", b'"', b",", b"|", b"[" * 5000, b"__import__('os').abort()", b"x" * 300,
)  # fmt: skip
NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
WORD = re.compile(rb"[A-Za-z_0-9.]+")


def damaged(files: Files, random: Random) -> tuple[Files, str, str]:
    """One file of several damaged.

    Returns:
        The files, the name of the damaged one, and what was done to it, in words.
    """
    names = sorted(files)
    name = names[int(random.integers(len(names)))]
    result = dict(files)
    kind = random.random()
    if kind < 0.04:
        del result[name]
        return result, name, "missing"
    if kind < 0.08 and len(names) > 1:
        other = names[int(random.integers(len(names)))]
        result[name] = files[other]
        return result, name, f"with the content of {other}"
    content = files[name]
    done = []
    for _ in range(1 if random.random() < 0.8 else int(random.integers(2, 5))):
        change = CHANGES[int(random.integers(len(CHANGES)))]
        content = change(content, files[names[int(random.integers(len(names)))]], random)
        done.append(change.__name__)
    result[name] = content
    return result, name, " ".join(done)


def _place(length: int, random: Random) -> int:
    """A position, often near the start or the end."""
    if not length:
        return 0
    where = random.random()
    if where < 0.35:
        return int(random.integers(min(length, HEAD)))
    if where < 0.55:
        return length - 1 - int(random.integers(min(length, HEAD)))
    return int(random.integers(length))


def _range(length: int, random: Random) -> slice:
    start = _place(length, random)
    longest = max(1, length - start)
    size = int(random.integers(1, min(longest, 64) + 1)) if random.random() < 0.7 else int(random.integers(longest))
    return slice(start, start + size)


def flip_bits(content: bytes, _other: bytes, random: Random) -> bytes:
    changed = bytearray(content)
    for _ in range(int(random.integers(1, 5)) if content else 0):
        changed[_place(len(content), random)] ^= 1 << int(random.integers(8))
    return bytes(changed)


def cut_off(content: bytes, _other: bytes, random: Random) -> bytes:
    return content[: _place(len(content), random)]


def empty(_content: bytes, _other: bytes, _random: Random) -> bytes:
    return b""


def grow(content: bytes, _other: bytes, random: Random) -> bytes:
    return content + random.bytes(int(random.integers(1, 200)))


def zero_range(content: bytes, _other: bytes, random: Random) -> bytes:
    here = _range(len(content), random)
    return content[: here.start] + bytes(len(content[here])) + content[here.stop :]


def random_range(content: bytes, _other: bytes, random: Random) -> bytes:
    here = _range(len(content), random)
    return content[: here.start] + random.bytes(len(content[here])) + content[here.stop :]


def remove_range(content: bytes, _other: bytes, random: Random) -> bytes:
    here = _range(len(content), random)
    return content[: here.start] + content[here.stop :]


def repeat_range(content: bytes, _other: bytes, random: Random) -> bytes:
    here = _range(len(content), random)
    return content[: here.stop] + content[here] * int(random.integers(1, 4)) + content[here.stop :]


def splice(content: bytes, other: bytes, random: Random) -> bytes:
    here, there = _range(len(content), random), _range(len(other), random)
    return content[: here.start] + other[there] + content[here.stop :]


def extreme_number(content: bytes, _other: bytes, random: Random) -> bytes:
    size = int(random.choice([1, 2, 4, 8]))
    value = EXTREME[int(random.integers(len(EXTREME)))] % 2 ** (8 * size)
    order = "little" if random.random() < 0.5 else "big"
    place = _place(len(content), random) // size * size if random.random() < 0.5 else _place(len(content), random)
    return content[:place] + value.to_bytes(size, order) + content[place + size :]  # type: ignore[arg-type]


def extreme_text(content: bytes, _other: bytes, random: Random) -> bytes:
    """Another word in the place of a number or a word."""
    pattern = NUMBER if random.random() < 0.6 else WORD
    found = [match.span() for match in pattern.finditer(content)]
    if not found:
        return flip_bits(content, _other, random)
    first = random.random() < 0.5
    start, stop = found[int(random.integers(min(len(found), 40) if first else len(found)))]
    return content[:start] + WORDS[int(random.integers(len(WORDS)))] + content[stop:]


def swapped_lines(content: bytes, _other: bytes, random: Random) -> bytes:
    """A line gone, doubled or in the place of another."""
    lines = content.split(b"\n")
    one, another = (int(random.integers(len(lines))) for _ in range(2))
    lines[one] = [b"", lines[one] + b"\n" + lines[one], lines[another]][int(random.integers(3))]
    return b"\n".join(lines)


CHANGES: tuple[Callable[[bytes, bytes, Random], bytes], ...] = (
    flip_bits, flip_bits, flip_bits, cut_off, empty, grow, zero_range, random_range, remove_range, repeat_range,
    splice, extreme_number, extreme_number, extreme_number, extreme_text, extreme_text, extreme_text, swapped_lines,
)  # fmt: skip
