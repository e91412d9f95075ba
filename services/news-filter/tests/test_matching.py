"""Keywords and patterns, and that no text makes one slow."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdesk.news_filter.domain.matching import (
    LONGEST_KEYWORD,
    MOST_INSTRUCTIONS,
    MOST_KEYWORDS,
    Keywords,
    PatternError,
    Patterns,
    Text,
    compile_pattern,
)

GUARD_SECONDS = 60
LONGEST_TEXT = 100_000
CATASTROPHIC = [  # each takes a backtracking engine longer than the age of the universe
    (r"(a+)+$", "a"),
    (r"(a|a)*c", "a"),
    (r"(a|aa)+$", "a"),
    (r"(x+x+)+y", "x"),
    (r"(.*)*=", "x"),
    (r"(?:.*a){50}z", "a"),
    (r"^(\w+\s?)*$", "word "),
    (r"([a-zA-Z0-9]+)*!", "aB3"),
    (r"(?:a?){200}a{200}z", "a"),
    (r"[ab]*a[ab]{200}c", "abbabaab"),
    (r"^([a-z0-9]+[-._]?)+@x$", "a.b-c_"),
    (r"(?i)(?:é|e+)+[^é]$", "é"),
]


def text(title: str) -> Text:
    return Text(title, "")


@pytest.mark.parametrize(
    ("keyword", "title", "found"),
    [
        ("beat", "Apple beats estimates", False),
        ("beat", "Analysts: a beat!", True),
        ("BEAT", "a beat", True),
        ("price target", "price\n target raised", True),
        ("price target", "price\u00a0target raised", True),
        ("price target", "price a target", False),
        ("c++", "written in C++, mostly", True),
        ("ai", "said", False),
        ("ai", "AI-driven", True),
        ("盈利", "腾讯盈利超预期", True),
        ("ai", "腾讯AI业务", True),
        ("ÉTÉ", "cet été", True),
        (".*", "anything", False),
    ],
)
def test_a_keyword_is_found_as_a_whole_word_in_any_case(
    keyword: str, title: str, found: bool
) -> None:
    assert bool(Keywords([keyword]).found_in(text(title))) is found
    assert bool(Keywords(["other", keyword]).found_in(Text("-", title))) is found


def test_empty_keywords_are_none() -> None:
    assert not Keywords(["", "  "])
    assert Keywords([]).found_in(text("anything")) == ()


@settings(deadline=None)
@given(
    words=st.lists(st.text(alphabet="abAB +.é腾 ", min_size=1, max_size=4), max_size=5),
    title=st.text(alphabet="abAB +.é腾 \n", max_size=30),
)
def test_keywords_are_found_where_the_plain_definition_finds_them(
    words: list[str], title: str
) -> None:
    def plainly(word: str) -> bool:
        before = r"(?<![A-Za-z0-9])" if re.match("[A-Za-z0-9]", word) else ""
        after = r"(?![A-Za-z0-9])" if re.search("[A-Za-z0-9]$", word) else ""
        inner = r"\s+".join(re.escape(part) for part in word.split())
        return bool(re.search(before + inner + after, title, re.IGNORECASE))

    wanted = dict.fromkeys(" ".join(word.lower().split()) for word in words)
    expected = tuple(word for word in wanted if word and plainly(word))
    assert Keywords(words).found_in(text(title)) == expected


def test_too_many_or_too_long_keywords_are_refused() -> None:
    with pytest.raises(PatternError, match="1001 keywords; at most 1000"):
        Keywords(f"word{number}" for number in range(MOST_KEYWORDS + 1))
    with pytest.raises(PatternError, match="has 201 characters; at most 200"):
        Keywords(["x" * (LONGEST_KEYWORD + 1)])


def test_as_many_keywords_as_are_allowed_are_found_in_one_text() -> None:
    words = [f"{'palabra' * 25}{number}" for number in range(MOST_KEYWORDS)]
    assert Keywords(words).found_in(text(f"on {words[-1]}")) == (words[-1],)


def test_the_first_pattern_that_occurs_is_named_with_what_it_found() -> None:
    patterns = Patterns([r"\d+ %", r"Q[1-4] (?:results|sales)", "results"])
    assert patterns.first_in(Text("Apple", "Good Q3 results")) == (
        "Q[1-4] (?:results|sales)",
        "Q3 results",
    )
    assert patterns.first_in(text("nothing of it")) is None


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (r"(a)\1", r"invalid escape sequence: \\1"),
        (r"a(?=b)", r"invalid perl operator: \(\?="),
        (r"(?<!a)b", r"invalid perl operator: \(\?<"),
        (r"(?>a+)b", "invalid perl operator"),
        ("(", "missing"),
        ("*a", "no argument for repetition operator"),
        ("a{1001}", "invalid repetition size"),
        ("((a{100}){100}){100}", "invalid repetition size"),
        (r"\pL{20}", f"instructions, at most {MOST_INSTRUCTIONS}"),
        ("a*", "matches every article"),
        ("", "matches every article"),
        (r"\s", "matches every article"),
    ],
)
def test_a_pattern_whose_cost_has_no_bound_is_refused_with_the_reason(
    source: str, why: str
) -> None:
    with pytest.raises(PatternError, match=why) as refusal:
        Patterns(["fine", source])
    assert repr(source) in str(refusal.value)


@pytest.mark.parametrize(("source", "unit"), CATASTROPHIC)
def test_no_pattern_is_made_slow_by_a_text(source: str, unit: str) -> None:
    # RE2 matches in time linear in the text, for every pattern that it accepts; a limit on the
    # size of patterns bounds the factor. A backtracking engine would still be at it when the sun
    # has burnt out, so that the guard need not be tight.
    patterns = Patterns([source])
    long = Text("title", (unit * LONGEST_TEXT)[:LONGEST_TEXT] + "é!")
    started = time.monotonic()
    patterns.first_in(long)
    assert time.monotonic() - started < GUARD_SECONDS


REGEX = st.recursive(
    st.sampled_from(["a", "b", ".", r"\w", "[ab]", "[^a]", "é", r"\b", "^", "$"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("|".join),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2,5}", "{9}", "+?", "*?"])).map(
            lambda part: f"(?:{part[0]}){part[1]}"
        ),
        inner.map(lambda part: f"({part})"),
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(source=REGEX, unit=st.sampled_from(["a", "ab", "aab", "é", "a b", "b"]))
def test_whatever_pattern_is_accepted_is_small_and_ends_on_the_longest_text(
    source: str, unit: str
) -> None:
    try:
        compiled = compile_pattern(source)
    except PatternError:
        return
    assert compiled.programsize <= MOST_INSTRUCTIONS
    started = time.monotonic()
    compiled.search((unit * LONGEST_TEXT)[:LONGEST_TEXT].encode())
    assert time.monotonic() - started < GUARD_SECONDS


@settings(deadline=None)
@given(source=st.text(max_size=30), title=st.text(max_size=50))
def test_any_text_is_a_pattern_or_a_refusal_and_never_a_crash(source: str, title: str) -> None:
    try:
        patterns = Patterns([source])
    except PatternError:
        return
    found = patterns.first_in(text(title))
    assert found is None or found[0] == source


def test_half_a_surrogate_in_a_text_is_no_crash() -> None:
    assert Keywords(["apple"]).found_in(Text("\ud800 apple", "\udfff")) == ("apple",)
