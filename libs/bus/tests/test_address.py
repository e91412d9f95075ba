"""One URL: every form it may have, and what is said of every other."""

import re
import ssl
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from streamdesk.bus import BusConfig, BusConfigError
from streamdesk.bus.connection.address import Address, Login, parse_address

SECRET = "s3cret"  # noqa: S105 - of nothing
DESK = (("h1", 26379), ("h2", 26380))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h", Address((("h", 6379),))),
        ("redis://h:1", Address((("h", 1),))),
        ("redis://h/?", Address((("h", 6379),))),
        ("redis://h:1/3", Address((("h", 1),), database=3)),
        ("redis://h?db=4", Address((("h", 6379),), database=4)),
        ("redis://h/3?db=4", Address((("h", 6379),), database=3)),
        ("redis://[::1]:7/2", Address((("::1", 7),), database=2)),
        ("redis://[::1]", Address((("::1", 6379),))),
        ("redis://:pw@h", Address((("h", 6379),), login=Login("", "pw"))),
        ("redis://me:p%40%2Fw@h", Address((("h", 6379),), login=Login("me", "p@/w"))),
        ("redis://me@h", Address((("h", 6379),), login=Login("me", ""))),
        ("unix:///run/r.sock", Address((), path="/run/r.sock")),
        ("unix:///run/a%20b?db=2", Address((), path="/run/a b", database=2)),
        (
            "unix://me:pw@/run/r@1.sock",
            Address((), path="/run/r@1.sock", login=Login("me", "pw")),
        ),
        ("redis+sentinel://h1/desk", Address((("h1", 26379),), service="desk")),
        ("redis+sentinel://h1,h2:26380/desk/5", Address(DESK, service="desk", database=5)),
        ("redis+sentinel://h1,h2:26380/desk?db=6", Address(DESK, service="desk", database=6)),
        (
            "redis+sentinel://me:pw@[::1]:1,h/a%20b?sentinel_username=s&sentinel_password=p@w",
            Address(
                (("::1", 1), ("h", 26379)),
                service="a b",
                login=Login("me", "pw"),
                sentinel_login=Login("s", "p@w"),
            ),
        ),
    ],
)
def test_every_form_of_a_url_is_taken_apart(url: str, expected: Address) -> None:
    assert parse_address(url) == expected


@pytest.mark.parametrize(
    ("login", "words"),
    [
        (Login(), ()),
        (Login("me", ""), ()),
        (Login("", "pw"), ("AUTH", "pw")),
        (Login("me", "pw"), ("AUTH", "me", "pw")),
    ],
)
def test_a_login_is_sent_only_with_a_password(login: Login, words: tuple[str, ...]) -> None:
    assert login.words == words


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "has scheme ''"),
        ("localhost:6379", "has scheme 'localhost'"),
        ("http://h", "has scheme 'http'; expected redis://"),
        ("redis://[::1", "cannot be read; expected redis://"),
        ("redis://", "has host ''; expected host or host:port"),
        ("redis://:6379", "has host ''"),
        ("redis://a,b", "has host 'a,b'"),
        ("redis://h:x", "has host 'h' with a port that is none"),
        ("redis://h:65536", "has host 'h' with a port that is none"),
        ("redis://h/one", "has database 'one'; expected a whole number"),
        ("redis://h/-1", "has database '-1'"),
        ("redis://h?db=x", "has database 'x'"),
        ("redis://h?db", "cannot be read"),
        ("redis://h?decode_responses=1", "has parameter 'decode_responses'; expected one of db"),
        ("redis://h/0#1", "has '#'"),
        ("unix://", "no path of a socket; expected unix:///path"),
        ("unix://run/r.sock", "no path of a socket"),
        ("unix:///r.sock?db=x", "has db 'x'"),
        ("redis+sentinel://h1,h2", "names Sentinels but no service; expected redis+sentinel://"),
        ("redis+sentinel://h1/", "names Sentinels but no service"),
        ("redis+sentinel:///desk", "has host ''"),
        ("redis+sentinel://h1,,h2/desk", "has host ''"),
        ("redis+sentinel://h1:x/desk", "has host 'h1' with a port that is none"),
        ("redis+sentinel://h1/desk/x", "has database 'x'"),
        ("rediss://h?ssl_cert_reqs=maybe", "ssl_cert_reqs 'maybe'; expected 'required' or 'none'"),
        ("rediss://h?ssl_ca_certs=/not/there", "names a TLS file that cannot be used"),
        ("rediss://h?ssl_certfile=/not/there", "names a TLS file that cannot be used"),
    ],
)
def test_every_other_form_is_refused_with_what_is_wrong(url: str, message: str) -> None:
    with pytest.raises(BusConfigError, match=re.escape(message)):
        BusConfig(url=url)


@pytest.mark.parametrize("scheme", ["rediss://h", "rediss+sentinel://h1,h2/desk"])
def test_tls_checks_certificate_and_name_unless_the_url_says_otherwise(scheme: str) -> None:
    def tls(query: str = "") -> ssl.SSLContext:
        context = parse_address(scheme + query).tls
        assert context is not None
        return context

    assert (tls().verify_mode, tls().check_hostname) == (ssl.CERT_REQUIRED, True)
    unnamed = tls("?ssl_check_hostname=false")
    assert (unnamed.verify_mode, unnamed.check_hostname) == (ssl.CERT_REQUIRED, False)
    unchecked = tls("?ssl_cert_reqs=none")
    assert (unchecked.verify_mode, unchecked.check_hostname) == (ssl.CERT_NONE, False)
    assert parse_address(scheme.replace("rediss", "redis")).tls is None


def test_a_tls_file_that_is_no_certificate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("not a certificate")
    with pytest.raises(BusConfigError, match="names a TLS file that cannot be used"):
        parse_address(f"rediss://h?ssl_ca_certs={tmp_path}/ca.pem")


@pytest.mark.parametrize(
    "login",
    [f"me:{SECRET}", f":{SECRET}/x", f":x/{SECRET}", f":{SECRET}?x", f":x?{SECRET}",
     f":x?{SECRET}=1", f":x?y={SECRET}", f":{SECRET}#x", f":x#{SECRET}", f":{SECRET}[x",
     f":{SECRET}\u2100x", f"x/y:{SECRET}"],
)  # fmt: skip
@pytest.mark.parametrize("scheme", ["redis", "rediss", "redis+sentinel", "unix", "http"])
def test_no_message_shows_a_piece_of_a_password(login: str, scheme: str) -> None:
    for wrong in ("h:x/0", "h/x", "h/0?x=1", "h/0?db=x", "h,/0", "/0", "/0?db=x", ""):
        try:
            said = repr(BusConfig(url=f"{scheme}://{login}@{wrong}"))
        except BusConfigError as error:
            said = str(error)
        assert SECRET not in said


def test_a_password_is_in_no_representation() -> None:
    url = f"redis+sentinel://me:{SECRET}@h/desk?sentinel_username=s&sentinel_password={SECRET}"
    config = BusConfig(url=url)
    assert SECRET not in repr(config)
    assert SECRET not in repr(parse_address(url))
    assert "desk" in repr(parse_address(url))


HOSTS = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True) | st.sampled_from(
    ["::1", "fe80::2"]
)
PORTS = st.none() | st.integers(1, 65535)
WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20)


def written(host: str, port: int | None) -> str:
    name = f"[{host}]" if ":" in host else host
    return name if port is None else f"{name}:{port}"


@settings(deadline=None)
@given(host=HOSTS, port=PORTS, user=WORDS, password=WORDS, database=st.integers(0, 999))
def test_a_url_of_any_login_comes_back_as_it_was_meant(
    host: str, port: int | None, user: str, password: str, database: int
) -> None:
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@"
    address = parse_address(f"redis://{login}{written(host, port)}/{database}")
    assert address == Address(
        ((host, 6379 if port is None else port),),
        login=Login(user, password),
        database=database,
    )


@settings(deadline=None)
@given(
    hosts=st.lists(st.tuples(HOSTS, PORTS), min_size=1, max_size=5),
    service=WORDS,
    user=WORDS,
    password=WORDS,
)
def test_sentinels_with_any_login_come_back_as_they_were_meant(
    hosts: list[tuple[str, int | None]], service: str, user: str, password: str
) -> None:
    assume(service != "")
    listed = ",".join(written(host, port) for host, port in hosts)
    query = f"sentinel_username={quote(user, safe='')}&sentinel_password={quote(password, safe='')}"
    address = parse_address(f"redis+sentinel://{listed}/{quote(service, safe='')}?{query}")
    assert address.hosts == tuple((host, 26379 if port is None else port) for host, port in hosts)
    assert (address.service, address.sentinel_login) == (service, Login(user, password))
