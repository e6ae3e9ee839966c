"""Finite fields, as far as codes are built from them."""

from __future__ import annotations

import functools
import itertools

import numpy as np
from numpy.typing import NDArray

from hashlens.errors import BadInput


def prime_power(number: int) -> tuple[int, int] | None:
    """The prime p and the exponent m with p^m = ``number``, or None."""
    if number < 2:
        return None
    prime = next((p for p in range(2, int(number**0.5) + 1) if number % p == 0), number)
    exponent = 0
    while number % prime == 0:
        number //= prime
        exponent += 1
    return (prime, exponent) if number == 1 else None


@functools.cache
def powers_of_generator(order: int) -> NDArray[np.int64]:
    """All non-zero elements of the field with ``order`` elements, as powers 0, 1, … of a primitive element.

    An element Σ a_i x^i is the number Σ a_i p^i, so in a prime field it is itself, and in a field of
    characteristic two addition is exclusive or.

    Returns:
        (order − 1,) int64.

    Raises:
        BadInput: ``order`` is not a prime power.
    """
    factors = prime_power(order)
    if factors is None:
        raise BadInput(f"There is no field with {order} elements, because {order} is not a power of a prime.")
    prime, degree = factors
    weights = prime ** np.arange(degree, dtype=np.int64)
    for low in itertools.product(range(prime), repeat=degree):
        if low[0] == 0:
            continue
        # x^degree = low; x is primitive if its powers do not return to 1 too early.
        reduction = np.array(low, np.int64)
        element = np.zeros(degree, np.int64)
        element[0] = 1
        powers: list[int] = []
        while True:
            powers.append(int(element @ weights))
            carry = element[-1]
            element = (np.concatenate([[0], element[:-1]]) + carry * reduction) % prime
            if int(element @ weights) == 1 or len(powers) == order - 1:
                break
        if len(powers) == order - 1 and int(element @ weights) == 1:
            return np.array(powers, np.int64)
    raise AssertionError("every finite field has a primitive polynomial")


def quadratic_character(order: int) -> NDArray[np.int8]:
    """Jacobsthal's matrix of the field with ``order`` elements, an odd prime power.

    Entry (i, j) is +1 where i − j is a non-zero square, −1 where it is none, 0 where i = j.
    """
    powers = powers_of_generator(order)
    character = np.zeros(order, np.int8)
    character[powers[::2]] = 1
    character[powers[1::2]] = -1
    factors = prime_power(order)
    assert factors is not None
    prime, degree = factors
    elements = np.arange(order)
    difference = np.zeros((order, order), np.int64)
    for weight in prime ** np.arange(degree):
        digit = elements // weight % prime
        difference += (digit[:, None] - digit) % prime * weight
    return character[difference]
