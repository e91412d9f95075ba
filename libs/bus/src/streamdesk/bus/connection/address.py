"""Where the server is: one URL.

    redis://[user:password@]host[:6379][/database]
    rediss://…                                      the same over TLS
    unix://[user:password@]/path/to/socket[?db=0]
    redis+sentinel://[user:password@]host[:26379][,host[:26379]…]/service[/database]
    rediss+sentinel://…                             the same, data servers and Sentinels over TLS

Query parameters: `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile` (files), `ssl_cert_reqs`
(`required` or `none`), `ssl_check_hostname` (`true` or `false`), `db`, and for Sentinel
`sentinel_username` and `sentinel_password`, where it wants others than the data servers.
"""

import ssl
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from streamdesk.bus.errors import BusConfigError

REDIS_PORT = 6379
SENTINEL_PORT = 26379
SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")
EXPECTED = (
    "redis://host:port/db, rediss://…, unix:///path, memory://name or "
    "redis+sentinel://host:port,host:port/service/db"
)
_PARAMETERS = (
    "db", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname",
    "sentinel_username", "sentinel_password",
)  # fmt: skip
HostPort = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Login:
    """The user and password for a server; empty where it asks for none."""

    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def words(self) -> tuple[str, ...]:
        """The AUTH command, empty without a password."""
        if not self.password:
            return ()
        return ("AUTH", self.user, self.password) if self.user else ("AUTH", self.password)


@dataclass(frozen=True, slots=True)
class Address:
    """A URL, taken apart.

    Args:
        hosts: the server, or the Sentinels.
        path: of a Unix socket, instead of hosts.
        service: the name by which the Sentinels know the master; empty without Sentinel.
        database: number of the database.
        login: for the data servers.
        sentinel_login: for the Sentinels.
        tls: context for encrypted connections; None for plain ones.
    """

    hosts: tuple[HostPort, ...]
    path: str = ""
    service: str = ""
    database: int = 0
    login: Login = field(default_factory=Login)
    sentinel_login: Login = field(default_factory=Login)
    tls: ssl.SSLContext | None = None


def parse_address(url: str) -> Address:
    """Take a URL apart.

    Raises:
        BusConfigError: it is none of the forms above; the message never has the password.
    """
    try:
        parts = urlsplit(url)
        query = dict(
            parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        )
    except ValueError:  # what it says may show the password
        raise BusConfigError(f"bus url cannot be read; expected {EXPECTED}") from None
    if parts.scheme not in SCHEMES:
        raise BusConfigError(f"bus url has scheme {parts.scheme!r}; expected {EXPECTED}")
    _refuse_torn_login(url, parts, query)
    unknown = sorted(set(query) - set(_PARAMETERS))
    if unknown:
        raise BusConfigError(
            f"bus url has parameter {unknown[0]!r}; expected one of {', '.join(_PARAMETERS)}"
        )
    return _address(parts, query)


def _refuse_torn_login(url: str, parts: SplitResult, query: dict[str, str]) -> None:
    """A '/', '?' or '#' in a password ends the part of the URL that it should be in.

    What is elsewhere may then be a piece of it: nothing of that is shown.
    """
    behind = [name + text for name, text in query.items() if not name.startswith("sentinel_")]
    if parts.scheme != "unix":
        behind.append(parts.path)
    if "#" in url or any("@" in text for text in behind):
        raise BusConfigError(
            "bus url has '#', or '@' behind its host; in a user or password write '/' as %2F, "
            "'?' as %3F, '#' as %23 and '@' as %40"
        )


def _address(parts: SplitResult, query: dict[str, str]) -> Address:
    before, _, hosts = parts.netloc.rpartition("@")
    user, _, password = before.partition(":")
    login = Login(unquote(user), unquote(password))
    tls = _tls(query) if parts.scheme.startswith("rediss") else None
    if parts.scheme == "unix":
        if hosts or not parts.path.strip("/"):
            raise BusConfigError("bus url has no path of a socket; expected unix:///path")
        database = _number("db", query.get("db", "0"))
        return Address((), path=unquote(parts.path), database=database, login=login, tls=None)
    steps = [unquote(step) for step in parts.path.split("/")[1:]]
    if "sentinel" not in parts.scheme:
        database = _number("database", (steps[0] if steps else "") or query.get("db", "0"))
        return Address((_host(hosts, REDIS_PORT),), database=database, login=login, tls=tls)
    return _sentinel_address(hosts, steps, query, login, tls)


def _sentinel_address(
    hosts: str,
    steps: list[str],
    query: dict[str, str],
    login: Login,
    tls: ssl.SSLContext | None,
) -> Address:
    """The address of a service; `steps` of the path are its name and the database."""
    if not steps or not steps[0]:
        raise BusConfigError(
            "bus url names Sentinels but no service; expected "
            "redis+sentinel://host:26379,host:26379/service/0"
        )
    return Address(
        hosts=tuple(_host(host, SENTINEL_PORT) for host in hosts.split(",")),
        service=steps[0],
        database=_number("database", (steps[1:] or [""])[0] or query.get("db", "0")),
        login=login,
        sentinel_login=Login(
            query.get("sentinel_username", ""), query.get("sentinel_password", "")
        ),
        tls=tls,
    )


def _host(text: str, default_port: int) -> HostPort:
    """`host`, `host:port`, `[v6]` or `[v6]:port`."""
    host: str | None = None
    try:
        parts = urlsplit(f"//{text}")
        host = parts.hostname
        port = parts.port
    except ValueError:  # what stands for a port may be the password of a login without its host
        raise BusConfigError(
            f"bus url has host {host or ''!r} with a port that is none; expected host or host:port"
        ) from None
    if not host or "," in host:
        raise BusConfigError(f"bus url has host {host or ''!r}; expected host or host:port")
    return host, default_port if port is None else port


def _number(name: str, text: str) -> int:
    if not text.isdecimal():
        raise BusConfigError(f"bus url has {name} {text!r}; expected a whole number from 0")
    return int(text)


def _tls(query: dict[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=query.get("ssl_ca_certs"))
        if "ssl_certfile" in query:
            context.load_cert_chain(query["ssl_certfile"], query.get("ssl_keyfile"))
    except OSError as error:
        raise BusConfigError(f"bus url names a TLS file that cannot be used: {error}") from None
    if query.get("ssl_check_hostname", "true").lower() == "false":
        context.check_hostname = False
    wanted = query.get("ssl_cert_reqs", "required")
    if wanted not in ("required", "none"):
        raise BusConfigError(f"bus url has ssl_cert_reqs {wanted!r}; expected 'required' or 'none'")
    if wanted == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
