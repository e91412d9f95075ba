import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdesk.news_fetcher.domain.links import LINK_MAX_CHARS, link_hash, normalise_link
from streamdesk.news_fetcher.errors import LinkInvalidError

PLAIN = "https://news.example/apple-beats-estimates"


@pytest.mark.parametrize(
    "link",
    [
        "https://news.example/apple-beats-estimates/",
        "HTTPS://News.Example/apple-beats-estimates",
        "https://news.example:443/apple-beats-estimates",
        "https://news.example./apple-beats-estimates",
        "https://reader@news.example/apple-beats-estimates",
        "https://news.example/apple-beats-estimates#comments",
        "https://news.example/apple-beats-estimates?",
        "https://news.example/apple-beats-estimates?utm_source=feed&UTM_Campaign=x",
        "https://news.example/apple-beats-estimates?gclid=1&fbclid=2&.tsrc=rss",
    ],
)
def test_what_differs_from_reader_to_reader_is_taken_out_of_a_link(link: str) -> None:
    assert normalise_link(link) == PLAIN


@pytest.mark.parametrize(
    "link",
    [
        "https://news.example/Apple-beats-estimates",
        "https://news.example/apple-beats-estimates?page=2",
        "https://news.example:8443/apple-beats-estimates",
        "https://www.news.example/apple-beats-estimates",
        "http://news.example/apple-beats-estimates",
    ],
)
def test_what_may_name_another_page_stays_in_a_link(link: str) -> None:
    assert normalise_link(link) == link


def test_the_order_of_parameters_does_not_make_another_link() -> None:
    one = normalise_link("https://news.example/story?id=7&lang=en&utm_term=x")
    other = normalise_link("https://news.example/story?lang=en&id=7")
    assert one == other == "https://news.example/story?id=7&lang=en"


def test_an_empty_parameter_is_kept() -> None:
    assert (
        normalise_link("https://news.example/story?print=") == "https://news.example/story?print="
    )


def test_an_ipv6_host_keeps_its_brackets() -> None:
    assert normalise_link("http://[2001:DB8::1]:80/a") == "http://[2001:db8::1]/a"


@pytest.mark.parametrize(
    "link",
    [
        "not a link",
        "/relative/path",
        "ftp://news.example/file",
        "javascript:alert(1)",
        "https://",
        "https:///path-only",
        "http://[half-an-address/a",
        "https://news.example:port/a",
        "https://news.example:99999/a",
    ],
)
def test_what_is_no_web_address_is_refused_by_name(link: str) -> None:
    with pytest.raises(LinkInvalidError, match="cannot be used") as caught:
        normalise_link(link)
    assert caught.value.reason == "link-invalid"


def test_a_link_beyond_the_limit_of_the_event_is_refused() -> None:
    start = "https://news.example/"
    assert normalise_link(start + "a" * (LINK_MAX_CHARS - len(start)))
    with pytest.raises(LinkInvalidError, match="at most 4000 characters, not 4001"):
        normalise_link(start + "a" * (LINK_MAX_CHARS - len(start) + 1))


@given(
    st.from_regex(
        r"https?://[a-z]{1,8}\.example(/[a-zA-Z0-9 %+._~-]{0,8}){0,3}(\?[ -~]{0,20})?",
        fullmatch=True,
    )
)
def test_normalising_a_link_again_changes_nothing(link: str) -> None:
    once = normalise_link(link)
    assert normalise_link(once) == once


def test_the_hash_is_the_first_128_bits_of_sha_256() -> None:
    assert link_hash(PLAIN) == hashlib.sha256(PLAIN.encode()).digest()[:16].hex()
