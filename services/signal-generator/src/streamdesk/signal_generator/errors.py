"""What can be wrong with what the service is told; market data has `streamdesk.market.errors`.

SignalGeneratorError
└── WatchlistError        an entry of the watchlist that makes no sense
"""


class SignalGeneratorError(ValueError):
    """Base of all that this service raises of its own."""


class WatchlistError(SignalGeneratorError):
    """A watchlist that cannot be used; the message names the entry."""
