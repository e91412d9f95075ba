"""What a file of rules can say, and how it is refused."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamdesk.news_filter.adapters.rule_file.parser import LARGEST_BYTES, parse_rules, read_bytes
from streamdesk.news_filter.domain.matching import Keywords, Patterns, Text
from streamdesk.news_filter.domain.rules import FilterRules, SentimentMode
from streamdesk.news_filter.errors import RuleFileError

MakeRules = Callable[..., FilterRules]
PATH = Path("rules.yaml")
WHOLE = rb"""
tickers: [aapl.us, 0700.HK]
keywords:
  include: [guidance, off, 2026]
  exclude:
    - sponsored
patterns:
  include: ['\bQ[1-4]\b']
  exclude: ['(?i)class action']
max_age_hours: 6
sentiment:
  threshold: 0.7
  mode: negative
"""


def test_a_file_names_every_rule(make_rules: MakeRules) -> None:
    rules = parse_rules(WHOLE, PATH, make_rules())
    assert rules.tickers == frozenset({"AAPL.US", "700.HK"})
    assert rules.keywords.found_in(Text("Off: 2026 GUIDANCE", "")) == ("guidance", "off", "2026")
    assert rules.blocked.found_in(Text("sponsored", "")) == ("sponsored",)
    assert rules.patterns.first_in(Text("in Q3", ""))
    assert rules.blocked_patterns.first_in(Text("Class Action", ""))
    assert rules.max_age == timedelta(hours=6)
    assert (rules.threshold, rules.mode) == (0.7, SentimentMode.NEGATIVE)


def test_what_a_file_does_not_name_stays_as_it_is_set(make_rules: MakeRules) -> None:
    before = make_rules(
        keywords=Keywords(["a"]), blocked=Keywords(["b"]), patterns=Patterns(["c"]), threshold=0.3
    )
    rules = parse_rules(b"keywords: {exclude: [x]}\nsentiment: {mode: absolute}", PATH, before)
    assert rules.blocked.found_in(Text("x b", "")) == ("x",)
    assert rules.mode is SentimentMode.ABSOLUTE
    same = ("keywords", "patterns", "blocked_patterns", "tickers", "threshold", "max_age")
    assert all(getattr(rules, name) == getattr(before, name) for name in same)
    assert parse_rules(b"{}", PATH, before) == before


def test_an_empty_list_takes_a_rule_away_and_a_star_lets_every_ticker_pass(
    make_rules: MakeRules,
) -> None:
    before = make_rules(keywords=Keywords(["a"]), blocked=Keywords(["b"]))
    said = b"keywords:\n  include: []\n  exclude:\ntickers: '*'"
    rules = parse_rules(said, PATH, before)
    assert not rules.keywords
    assert not rules.blocked
    assert rules.tickers is None


@pytest.mark.parametrize(
    ("said", "refusal"),
    [
        ("", "rules.yaml: is empty; {} says that all settings hold"),
        ("# nothing", "rules.yaml: is empty; {} says that all settings hold"),
        ("[]", "rules.yaml, line 1: the file is not a mapping; expected names with values"),
        ("\n\na: [", ("rules.yaml, line 3: is not YAML: while parsing a flow node, expected the "
         "node content, but found '<stream end>'")),
        ("tickers: *\n", ("rules.yaml, line 1: is not YAML: while scanning an alias, expected "
         "alphabetic or numeric character, but found '\\n' (quote a text that begins with *)")),
        ("tickers: []", "rules.yaml, line 1: tickers is empty; expected one at least"),
        ("tickers:\n  - AAPL.US\n  - AAPL\n", ("rules.yaml, line 3: tickers.1: 'AAPL' is not a "
         "symbol, as in AAPL.US or 700.HK")),
        ("tickers: ['*', AAPL.US]", ("rules.yaml, line 1: tickers: * lets every symbol pass: "
         "expected it alone")),
        ("# mine\nticker: [AAPL.US]", ("rules.yaml, line 2: ticker is no rule; expected tickers, "
         "keywords, patterns, max_age_hours, sentiment")),
        ("keywords:\n  include: [a]\n  exlude: [b]", ("rules.yaml, line 3: keywords.exlude is no "
         "rule; expected include, exclude")),
        ("keywords:\n  include: a", ("rules.yaml, line 2: keywords.include: expected a list, not "
         "'a'")),
        ("keywords: [a]", ("rules.yaml, line 1: keywords is not a mapping; expected names with "
         "values")),
        ("keywords: {include: [a, ' ']}", ("rules.yaml, line 1: keywords.include.1 is blank; "
         "expected a word")),
        ("patterns:\n  exclude:\n    - fine\n    - (a)\\1", ("rules.yaml, line 4: "
         "patterns.exclude.1: pattern '(a)\\\\1' is refused by RE2: invalid escape sequence: \\1 "
         "(backreferences and look-around have no place here, their cost has no bound)")),
        ("sentiment:\n  mode: bad", ("rules.yaml, line 2: sentiment.mode: 'bad' is wrong; "
         "expected 'positive', 'negative' or 'absolute'")),
        ("sentiment:\n  threshold: 1", ("rules.yaml, line 2: sentiment.threshold: '1' is wrong; "
         "expected less than 1")),
        ("max_age_hours: .nan", ("rules.yaml, line 1: max_age_hours: '.nan' is wrong; expected a "
         "valid number")),
        ("max_age_hours: 1\n\nmax_age_hours: 2", ("rules.yaml, line 3: 'max_age_hours' is given "
         "twice")),
        ("a: &x [1]\nb: *x", ("rules.yaml, line 1: an anchor (&) is referred to (*): expected the "
         "value itself")),
        ("? [a]\n: b", "rules.yaml, line 1: a name is a list or a mapping: expected a word"),
        ("a: b\nc: \x01", "rules.yaml, line 2: has a character that YAML does not allow"),
        ("[" * 50_000, "rules.yaml: is nested too deep"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_in_one_line_that_names_file_line_and_fault(
    make_rules: MakeRules, said: str, refusal: str
) -> None:
    with pytest.raises(RuleFileError) as error:
        parse_rules(said.encode(), PATH, make_rules())
    assert str(error.value) == refusal


def test_of_several_faults_the_first_line_is_named(make_rules: MakeRules) -> None:
    said = b"max_age_hours: 5\nsentiment:\n  mode: x\ntickers: [Y]\nzzz: 1"
    with pytest.raises(RuleFileError, match="line 3"):
        parse_rules(said, PATH, make_rules())


def test_a_file_that_is_not_utf8_is_refused_with_the_line(make_rules: MakeRules) -> None:
    with pytest.raises(RuleFileError, match="line 2: is not UTF-8"):
        parse_rules(b"a: 1\nb: \xff", PATH, make_rules())


def test_patterns_have_a_size_together_that_they_must_not_exceed(make_rules: MakeRules) -> None:
    many = "\n".join(rf"    - '\pL{number}'" for number in range(10))  # some 1,200 each
    said = f"# large\npatterns:\n  include:\n{many}"
    with pytest.raises(RuleFileError, match=r"line 2: patterns: \d+ instructions, at most 10000"):
        parse_rules(said.encode(), PATH, make_rules())


def test_a_file_that_is_missing_or_too_large_or_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuleFileError, match=r"gone.yaml: cannot be read: No such file"):
        read_bytes(tmp_path / "gone.yaml")
    with pytest.raises(RuleFileError, match="is no file"):
        read_bytes(tmp_path)
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (LARGEST_BYTES + 1))
    with pytest.raises(RuleFileError, match="has more than 262144 bytes"):
        read_bytes(large)


YAML = st.recursive(
    st.sampled_from(
        ["tickers", "keywords", "include", "patterns", "sentiment", "mode", "0.5", "AAPL.US",
         "*", "&a b", "*a", "'", '"', "!!int x", "null", "~", "a+", "(", "\t", "é", "\x00", "---"]
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]"),
        st.tuples(inner, inner).map(": ".join),
        st.tuples(inner, inner).map("\n".join),
        st.lists(st.tuples(inner, inner).map(": ".join), max_size=3).map(
            lambda items: "{" + ", ".join(items) + "}"
        ),
    ),
    max_leaves=15,
)  # fmt: skip


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=YAML.map(str.encode) | st.binary(max_size=60))
def test_whatever_a_file_says_it_is_rules_or_a_refusal_in_one_line(
    make_rules: MakeRules, said: bytes
) -> None:
    refusal = ""
    try:
        assert isinstance(parse_rules(said, PATH, make_rules()), FilterRules)
    except RuleFileError as error:
        refusal = str(error)
    assert "\n" not in refusal
    assert not refusal or refusal.startswith("rules.yaml")
