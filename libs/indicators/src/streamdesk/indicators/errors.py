"""What can be wrong with what an indicator is given.

IndicatorError
├── InputError       a price or volume that is not a number, or arrays that do not fit together
└── ParameterError   a period or a factor out of bounds
"""


class IndicatorError(ValueError):
    """The indicator cannot be computed from this."""


class InputError(IndicatorError):
    """A value is not finite or not allowed, or the arrays differ in length."""


class ParameterError(IndicatorError):
    """A period or a factor is out of its range."""
