"""REDIS_URL: what can be seen to be wrong with it before anything is sent.

The value may hold a password, wherever it stands, so no message quotes any of it.
"""

from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

PLAIN = ("redis", "rediss")
SENTINEL = ("redis+sentinel", "rediss+sentinel")
EXPECTED = (
    "redis://host:port/db, rediss://…, unix:///path, memory://name "
    "or redis+sentinel://user:password@host:26379,host:26379/master/db"
)
SECRET_PARAMETERS = ("password", "sentinel_password")


def check_redis_url(url: str) -> None:
    """Refuse what cannot name a server.

    Raises:
        ValueError: what was expected and, where it helps, what is missing.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # a bracket that is not closed
        raise ValueError(EXPECTED) from None
    if parts.scheme not in (*PLAIN, *SENTINEL):
        if parts.scheme not in ("unix", "memory") or not (parts.netloc or parts.path):
            raise ValueError(EXPECTED)
        return
    _check_hosts(parts)
    _check_path(parts)


def _check_hosts(parts: SplitResult) -> None:
    hosts = parts.netloc.rpartition("@")[2].split(",")
    if parts.scheme in PLAIN and len(hosts) > 1:
        raise ValueError(f"{EXPECTED}; several hosts are Sentinels: write redis+sentinel://")
    for number, host in enumerate(hosts, 1):
        if not _is_host(host):
            raise ValueError(f"{EXPECTED}; host {number} of {len(hosts)} is not host or host:port")


def _check_path(parts: SplitResult) -> None:
    names = parts.path.split("/")[1:]
    if parts.scheme in SENTINEL and not (names and names.pop(0)):
        raise ValueError(f"{EXPECTED}; the master's name after the hosts is missing")
    if names and not (names[0].isdecimal() or names == [""]):
        raise ValueError(f"{EXPECTED}; the database is not a number")


def _is_host(text: str) -> bool:
    try:
        parts = urlsplit(f"//{text}")
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is not a number up to 65535
        return False


def passwords_of(url: str) -> set[str]:
    """Every password in a URL, as written and as meant; where a server is may be logged."""
    parts = urlsplit(url)
    written = {parts.password} if parts.password else set()
    meant = {value for name, value in parse_qsl(parts.query) if name in SECRET_PARAMETERS}
    written |= {
        pair.partition("=")[2]
        for pair in parts.query.split("&")
        if pair.partition("=")[0] in SECRET_PARAMETERS
    }
    return {word for word in written | meant | {unquote(word) for word in written} if word}
