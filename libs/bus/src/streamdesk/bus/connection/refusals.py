"""What a server's error answers mean, by name.

LOADING BUSY MISCONF NOREPLICAS    it cannot now: wait; nothing was written
READONLY MASTERDOWN UNBLOCKED      it is not the master any more: find the one that is
OOM                                its memory is full: writers get an error, readers continue
NOGROUP                            the group is gone: make it again where it stood; Redis 7.0 says
                                   UNBLOCKED where it went with its stream during a blocking read
NOAUTH WRONGPASS NOPERM            a setting is wrong: waiting will not help
"""

import hiredis

from streamdesk.bus.errors import (
    BusConfigError,
    BusError,
    BusUnavailableError,
    ServerFullError,
)

LATER = ("LOADING", "BUSY", "MISCONF", "NOREPLICAS", "TRYAGAIN", "CLUSTERDOWN")
CROWDED = "ERR max number of clients"
MOVED = ("READONLY", "MASTERDOWN", "UNBLOCKED")
FORBIDDEN = ("NOAUTH", "WRONGPASS", "NOPERM")
STREAM_GONE = "UNBLOCKED the stream key no longer exists"


class MasterMovedError(BusUnavailableError):
    """This server is not the master any more."""


class GroupLostError(BusError):
    """The consumer group, or its stream, is not there."""


class ScriptUnknownError(BusError):
    """The server does not know the script: it has not run it."""


_MEANING: dict[str, type[BusError]] = {
    **dict.fromkeys(LATER, BusUnavailableError),
    **dict.fromkeys(MOVED, MasterMovedError),
    "OOM": ServerFullError,
    "NOGROUP": GroupLostError,
    "NOSCRIPT": ScriptUnknownError,
}


def refusal(error: hiredis.ReplyError) -> BusError:
    """The error to raise for an error answer."""
    text = str(error)
    name = text.partition(" ")[0]
    if text.startswith(CROWDED):
        return BusUnavailableError(text)
    if name in FORBIDDEN:
        return BusConfigError(f"the server refuses us: {text}; check the url's user and password")
    if text == STREAM_GONE:
        return GroupLostError(text)
    return _MEANING.get(name, BusError)(text)
