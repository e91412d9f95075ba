"""The way to the server: its address, connections, Sentinels, and what its errors mean.

Exported is what programs need that ask a server or a Sentinel themselves.
"""

from streamdesk.bus.connection.address import Address, HostPort, Login, parse_address
from streamdesk.bus.connection.wire import Connection, Words, in_time, pack

__all__ = [
    "Address",
    "Connection",
    "HostPort",
    "Login",
    "Words",
    "in_time",
    "pack",
    "parse_address",
]
