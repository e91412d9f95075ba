"""What can be wrong with the settings; market data has `streamdesk.market.errors`.

SignalGeneratorError
└── WatchlistError        the watchlist or an entry of it is invalid
"""


class SignalGeneratorError(ValueError):
    """Base of the errors of this service."""


class WatchlistError(SignalGeneratorError):
    """A watchlist that cannot be used; the message names the entry."""
