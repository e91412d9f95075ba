"""Arrays as the indicators take them: float64, one dimension, finite, oldest bar first."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamdesk.indicators.errors import InputError

FloatArray = NDArray[np.float64]


def columns(**named: ArrayLike) -> tuple[FloatArray, ...]:
    """The arrays, checked, in the order they came in.

    Raises:
        InputError: arrays that are not of one length, or one that `column` refuses.
    """
    checked = {name: column(name, values) for name, values in named.items()}
    if len({values.size for values in checked.values()}) > 1:
        sizes = ", ".join(f"{name} {values.size}" for name, values in checked.items())
        raise InputError(f"all arrays must have the same number of bars, got {sizes}")
    return tuple(checked.values())


def column(name: str, values: ArrayLike) -> FloatArray:
    """The array, checked.

    Raises:
        InputError: no numbers, not one-dimensional, or a value is not finite.
    """
    try:
        numbers = np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be an array of numbers: {error}") from error
    # A scalar comes back from ascontiguousarray with one dimension: ask the input.
    if np.ndim(values) != 1:
        raise InputError(f"{name} must have one dimension, got {np.ndim(values)}")
    finite = np.isfinite(numbers)
    if not finite.all():
        wrong = int(finite.argmin())
        raise InputError(f"{name} at bar {wrong} is not a finite number: {numbers[wrong]}")
    return numbers
