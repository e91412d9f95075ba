"""The hours of the exchanges, as the settings want them."""

from streamdesk.order_executor.config.settings import Settings
from streamdesk.runtime import BadSettingError
from streamdesk.trading.exchange import INSTANT, SessionCheck, always_open
from streamdesk.trading.sessions import SessionClock


def session_clock(settings: Settings) -> SessionClock | None:
    """The hours of the exchanges; None where they do not matter.

    Raises:
        BadSettingError: the file of special hours cannot be used.
    """
    if not settings.sessions:
        return None
    # The market library brings numpy along.
    from streamdesk.market.errors import SessionFileError  # noqa: PLC0415 - see above
    from streamdesk.market.sessions import (  # noqa: PLC0415 - see above
        ExchangeSessions,
        read_special_hours,
    )

    file = settings.session_hours_file
    try:
        return ExchangeSessions(special=() if file is None else read_special_hours(file))
    except SessionFileError as error:
        expected = f"a file of special trading hours: {error}"
        raise BadSettingError("SESSION_HOURS_FILE", file, expected) from error


def session_check(sessions: SessionClock | None) -> SessionCheck:
    """Whether the simulated exchange fills at a moment."""
    if sessions is None:
        return always_open
    # The exchange asks about the last moment of a bar, a clock about its end.
    return lambda market, moment: sessions.why_closed(market, moment + INSTANT, None) is None
