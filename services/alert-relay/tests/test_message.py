"""How alerts read, and that they fit."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdesk.alert_relay.adapters.dingtalk import body_of
from streamdesk.alert_relay.domain.alert_group import AlertGroup, severity_of
from streamdesk.alert_relay.domain.message import PLAIN_BYTES, MessageWriter, Style
from tests.alert_relays import BEGAN, alert, notified

NOW = (BEGAN + timedelta(minutes=6)).timestamp()
LIMIT = 18_000


def group_of(*alerts: object, **changes: object) -> AlertGroup:
    event = notified(*alerts, at=BEGAN)  # type: ignore[arg-type]
    return AlertGroup.of(event).model_copy(update=changes)


def test_one_alert_reads_well_on_a_phone() -> None:
    one = alert(
        where="group order-executors, stream trading:signals",
        summary="Entries are handed out and not acknowledged",
        detail="132 entries are pending.",
        runbook_url="https://example.org/runbooks/RedisPELTooHigh",
    )
    message = MessageWriter(Style()).message(
        [group_of(one, alertmanager_url="http://am:9093")], NOW
    )
    assert message.title == "🟡 WARNING RedisPELTooHigh"
    assert message.text == (
        "### 🟡 WARNING · RedisPELTooHigh\n\n"
        "**Entries are handed out and not acknowledged**\n\n"
        "- group order-executors, stream trading:signals — 132 entries are pending.  \n"
        "  since 15:26 UTC (6 min)\n\n"
        "[Runbook](https://example.org/runbooks/RedisPELTooHigh) · [Alertmanager](http://am:9093)"
    )


def test_what_is_resolved_is_shown_as_such_with_its_times() -> None:
    message = MessageWriter(Style()).message([group_of(alert(status="resolved"))], NOW + 86_400)
    assert message.title == "✅ RESOLVED RedisPELTooHigh"
    assert "20 Nov 15:26 UTC to 20 Nov 15:36 UTC (10 min)" in message.text


def test_times_are_those_of_the_clock_that_is_set() -> None:
    message = MessageWriter(Style(utc_offset_hours=8)).message([group_of(alert())], NOW)
    assert "since 23:26 UTC+8 (6 min)" in message.text


def test_who_is_mentioned_goes_by_severity_and_is_named_in_the_text_too() -> None:
    style = Style(mentions={"critical": ("13800000000", "user-7", "all"), "warning": ("user-8",)})
    writer = MessageWriter(style)
    message = writer.message([group_of(alert(severity="critical"))], NOW)
    body = json.loads(body_of(message))
    at = {"atMobiles": ["13800000000"], "atUserIds": ["user-7"], "isAtAll": True}
    assert body["at"] == at
    assert message.text.endswith("@13800000000 @user-7 @all")
    assert writer.message([group_of(alert())], NOW).text.endswith("@user-8")


def test_nobody_is_mentioned_for_what_is_resolved() -> None:
    style = Style(mentions={"critical": ("13800000000",)})
    ended = group_of(alert(severity="critical", status="resolved"))
    body = json.loads(body_of(MessageWriter(style).message([ended], NOW)))
    assert body["at"] == {"atMobiles": [], "atUserIds": [], "isAtAll": False}


def test_the_keyword_of_the_robot_is_in_every_message() -> None:
    writer = MessageWriter(Style(keyword="desk-alert"))
    assert "desk-alert" in writer.message([group_of(alert())], NOW).text


def test_a_large_group_is_cut_and_says_how_many_are_left_out() -> None:
    many = [alert("Lagging", fingerprint=str(n), detail="x" * 500) for n in range(400)]
    message = MessageWriter(Style()).message([group_of(*many, left_out=7)], NOW)
    shown = message.text.count("x" * 500)
    assert len(body_of(message)) <= LIMIT
    assert 10 < shown < 400
    assert f"**… and {400 - shown + 7} more that are left out here**" in message.text
    assert message.title == "🟡 WARNING Lagging x407"


def test_a_digest_reports_as_many_groups_as_fit_and_what_follows() -> None:
    many = [group_of(alert(f"Alert{n}", where="y" * 150)) for n in range(300)]
    message = MessageWriter(Style()).message(many, NOW)
    assert len(body_of(message)) <= LIMIT
    assert 20 < len(message.groups) < 300
    assert all(group.alerts[0].name in message.text for group in message.groups)
    assert f"{300 - len(message.groups)} more groups follow" in message.text


def test_a_digest_counts_by_severity_and_puts_groups_of_a_rule_together() -> None:
    several = [
        group_of(
            alert(
                "Down",
                "critical",
                summary="It is down",
                where="pod-1",
                detail="3 of 3 are gone",
                runbook_url="https://example.org/down",
            )
        ),
        group_of(alert("Down", "critical", summary="It is down", where="pod-2")),
        group_of(alert("Slow", where="pod-3")),
        group_of(alert("Late", status="resolved")),
    ]
    message = MessageWriter(Style()).message(several, NOW)
    assert message.title == "🔴 2 critical, 1 warning, 1 resolved"
    assert message.text.count("**Down** — It is down") == 1
    assert (
        "- pod-1 — 3 of 3 are gone, since 15:26 UTC (6 min)\n"
        "- [Runbook](https://example.org/down)\n"
        "- pod-2, since 15:26 UTC (6 min)"
    ) in message.text


def test_a_group_in_a_digest_says_how_many_alerts_it_does_not_name() -> None:
    large = group_of(*[alert("Down", fingerprint=str(n)) for n in range(9)], left_out=2)
    message = MessageWriter(Style()).message([large, group_of(alert())], NOW)
    assert "… and 8 more of this group" in message.text


def test_what_is_perhaps_a_repeat_or_a_reminder_says_so() -> None:
    writer = MessageWriter(Style())
    assert "Perhaps a repeat" in writer.message([group_of(alert(), possibly_sent=True)], NOW).text
    assert "A reminder" in writer.message([group_of(alert(), again=True)], NOW).text


def test_a_message_that_was_refused_becomes_short() -> None:
    many = [alert("Down", fingerprint=str(n), detail="x" * 500) for n in range(100)]
    message = MessageWriter(Style()).message([group_of(*many, refusals=1)], NOW)
    assert len(body_of(message)) <= PLAIN_BYTES


def test_links_to_elsewhere_than_the_web_are_left_out() -> None:
    message = MessageWriter(Style()).message(
        [group_of(alert(runbook_url="javascript:alert(1)"))], NOW
    )
    assert "javascript" not in message.text


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.builds(
            lambda name, text, where: alert(
                name or "x",
                summary=text,
                detail=text * 2,
                where=where,
                fingerprint=(name + where)[:64],
            ),
            st.text(max_size=40),
            st.text(max_size=300),
            st.text(max_size=200),
        ),
        min_size=1,
        max_size=60,
    ),
    st.booleans(),
)
def test_whatever_the_alerts_say_the_message_fits(alerts: list[object], digest: bool) -> None:
    groups = [group_of(each) for each in alerts] if digest else [group_of(*alerts)]
    style = Style(max_bytes=4_000, mentions={"warning": ("13800000000",) * 5}, keyword="word")
    message = MessageWriter(style).message(groups, NOW)
    assert len(body_of(message)) <= 4_000
    assert message.groups


@pytest.mark.parametrize(
    ("word", "severity"),
    [("Critical", "critical"), ("page", "critical"), ("none", "info"), ("strange", "warning")],
)
def test_a_rules_own_word_for_its_severity_is_understood(word: str, severity: str) -> None:
    assert severity_of(word) == severity


def test_a_moment_of_today_needs_no_date() -> None:
    late = datetime(2026, 11, 20, 23, 50, tzinfo=UTC).timestamp()
    assert (
        "since 15:26 UTC (8 h 24 min)"
        in MessageWriter(Style()).message([group_of(alert())], late).text
    )
