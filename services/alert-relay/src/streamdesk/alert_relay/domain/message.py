"""The text of a message, for a phone: DingTalk's Markdown, most important first, bounded in size.

The robot renders headings, bold, lists, quotes and links; a line ends with two spaces. The title is
what the phone's notification shows.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone

from streamdesk.alert_relay.domain.alert_group import SEVERITIES, AlertGroup, AlertSeverity, worst
from streamdesk.contracts.events import AlertState

SIGNS = {"critical": "🔴", "warning": "🟡", "info": "🔵"}
RESOLVED_SIGN = "✅"
LONGEST_TITLE = 90
PLAIN_BYTES = 3_000
"""Size of a message whose first form was refused, possibly for its length."""

DIGEST_ALERTS = 3
"""Alerts of one group that a digest names."""

_ROOM_BYTES = 400
"""Reserved for the last lines, and for the JSON around the text."""

_LINKS = ("https://", "http://")


@dataclass(frozen=True, slots=True)
class Style:
    """How messages are written, from the settings.

    Args:
        max_bytes: of a message, as it is sent.
        utc_offset_hours: of the clock that times are shown in.
        mentions: who is mentioned, by severity: mobile numbers, user ids, or `all`.
        keyword: a word that the robot asks for in each message; empty for none.
    """

    max_bytes: int = 18_000
    utc_offset_hours: float = 0.0
    mentions: dict[AlertSeverity, tuple[str, ...]] = field(default_factory=dict)
    keyword: str = ""


@dataclass(frozen=True, slots=True)
class AlertMessage:
    """A message for the robot.

    Args:
        title: for the phone's list.
        text: Markdown.
        mentioned: who is mentioned.
        groups: the groups that it reports.
    """

    title: str
    text: str
    mentioned: tuple[str, ...]
    groups: tuple[AlertGroup, ...]


class MessageWriter:
    """Writes messages.

    Args:
        style: as the settings say.
    """

    def __init__(self, style: Style) -> None:
        self._style = style
        self._zone = timezone(timedelta(hours=style.utc_offset_hours))

    def message(self, groups: Sequence[AlertGroup], now: float) -> AlertMessage:
        """Report one group in full, or as many of several as fit.

        Args:
            groups: at least one, the most urgent first.
            now: seconds since 1970.
        """
        return self._full(groups[0], now) if len(groups) == 1 else self._digest(groups, now)

    # -- one group ---------------------------------------------------------------------------

    def _full(self, group: AlertGroup, now: float) -> AlertMessage:
        name = _subject(group)
        title = _clip(f"{_sign(group)} {_word(group)} {name}", LONGEST_TITLE)
        head = [f"### {_sign(group)} {_word(group)} · {name}"]
        # A summary that all alerts share is shown once, at the top: a phone shows few lines.
        summary = _shared_summary(group)
        if summary:
            head.append(f"**{summary}**")
        tail = self._tail(group)
        room = self._room(group, title, *head, *tail)
        lines = [self._alert(each, summary, now) for each in [*group.firing, *group.resolved]]
        body = _body(lines, room, group.left_out)
        return self._message(title, [*head, *body, *tail], [group])

    def _room(self, group: AlertGroup, *parts: str) -> int:
        """Bytes that the lines of the alerts may take beside these parts."""
        # The robot names no reason that says which part it refuses. Length is the likely one.
        limit = PLAIN_BYTES if group.refusals else self._style.max_bytes
        return limit - _size(*parts, *self._mentions([group])) - _ROOM_BYTES

    def _alert(self, alert: AlertState, shared: str, now: float) -> str:
        words = [alert.where, "" if alert.summary == shared else alert.summary, alert.detail]
        said = " — ".join(word for word in words if word) or alert.name
        sign = RESOLVED_SIGN + " " if alert.status == "resolved" else ""
        return f"- {sign}{said}  \n  {self._times(alert, now)}"

    def _times(self, alert: AlertState, now: float) -> str:
        began = alert.started_at
        if alert.ended_at is not None:
            lasted = _duration((alert.ended_at - began).total_seconds())
            return f"{self._clock(began, now)} to {self._clock(alert.ended_at, now)} ({lasted})"
        lasted = _duration(now - began.timestamp())
        return f"since {self._clock(began, now)} ({lasted})"

    def _tail(self, group: AlertGroup) -> list[str]:
        links = [
            f"[Runbook{'' if len(_runbooks(group)) == 1 else ' ' + name}]({url})"
            for name, url in _runbooks(group)[:3]
        ]
        if group.alertmanager_url.startswith(_LINKS):
            links.append(f"[Alertmanager]({_link(group.alertmanager_url)})")
        tail = [" · ".join(links)] if links else []
        if group.again:
            tail.append("> A reminder: this has not changed.")
        if group.possibly_sent:
            tail.append("> Perhaps a repeat: no answer came when it was sent before.")
        return tail

    # -- a digest -----------------------------------------------------------------------------

    def _digest(self, groups: Sequence[AlertGroup], now: float) -> AlertMessage:
        room = self._style.max_bytes - 3 * _ROOM_BYTES - _size(*self._mentions(groups))
        chosen: dict[tuple[str, str, str], list[str]] = {}
        reported: list[AlertGroup] = []
        for group in groups:
            heading, lines = _heading(group), list(self._lines(group, now))
            room -= _size(*lines) + (0 if heading in chosen else _size(" ".join(heading)) + 20)
            if room < 0 and reported:
                break
            chosen.setdefault(heading, []).extend(lines)
            reported.append(group)
        counts = _counts(reported)
        later = len(groups) - len(reported)
        title = _clip(f"{_sign(reported[0])} {counts}", LONGEST_TITLE)
        parts = [f"### {_sign(reported[0])} {counts}, in one message"]
        for (sign, name, summary), lines in chosen.items():
            said = f" — {summary}" if summary else ""
            parts.append("\n".join([f"{sign} **{name}**{said}  ", *lines]))
        if later:
            parts.append(f"> {later} more groups follow in the next message.")
        if any(group.possibly_sent for group in reported):
            parts.append("> Perhaps a repeat in part: no answer came when it was sent before.")
        return self._message(title, parts, reported)

    def _lines(self, group: AlertGroup, now: float) -> Iterator[str]:
        alerts = [*group.firing, *group.resolved]
        for alert in alerts[:DIGEST_ALERTS]:
            where = alert.where or alert.name
            detail = f" — {_clip(alert.detail, 200)}" if group.urgent and alert.detail else ""
            yield f"- {_clip(where, 120)}{detail}, {self._times(alert, now)}"
        more = len(alerts) - DIGEST_ALERTS + group.left_out
        if len(alerts) > DIGEST_ALERTS or group.left_out:
            yield f"- … and {max(more, group.left_out)} more of this group"
        if group.urgent:
            yield from (f"- [Runbook]({url})" for _, url in _runbooks(group)[:1])

    # -- both ---------------------------------------------------------------------------------

    def _message(self, title: str, parts: list[str], groups: Sequence[AlertGroup]) -> AlertMessage:
        mentioned = self._mentions(groups)
        text = "\n\n".join(part for part in parts if part)
        if mentioned:  # the robot notifies only people whom the text names as well
            text += "\n\n" + " ".join(f"@{name}" for name in mentioned)
        keyword = self._style.keyword
        if keyword and keyword not in text:
            text += f"\n\n{keyword}"
        return AlertMessage(title, text, mentioned, tuple(groups))

    def _mentions(self, groups: Sequence[AlertGroup]) -> tuple[str, ...]:
        firing = [alert for group in groups for alert in group.firing]
        return self._style.mentions.get(worst(firing), ()) if firing else ()

    def _clock(self, moment: datetime, now: float) -> str:
        local = moment.astimezone(self._zone)
        today = datetime.fromtimestamp(now, UTC).astimezone(self._zone).date()
        day = "" if local.date() == today else f"{local:%d %b} "
        hours = self._style.utc_offset_hours
        return f"{day}{local:%H:%M} UTC{f'{hours:+g}' if hours else ''}"


def _sign(group: AlertGroup) -> str:
    return RESOLVED_SIGN if group.status == "resolved" else SIGNS[group.severity]


def _word(group: AlertGroup) -> str:
    return "RESOLVED" if group.status == "resolved" else group.severity.upper()


def _subject(group: AlertGroup) -> str:
    """The rules that fire, and how many alerts: `Lagging and 2 more rules x5`."""
    names = list(dict.fromkeys(alert.name for alert in group.alerts)) or [group.group_key]
    more = f" and {len(names) - 1} more rules" if len(names) > 1 else ""
    # Of a firing group only what fires counts: its resolved alerts are no trouble any more.
    count = len(group.firing or group.alerts) + group.left_out
    return f"{names[0]}{more}{f' x{count}' if count > 1 else ''}"


def _shared_summary(group: AlertGroup) -> str:
    """The one summary of all alerts; empty where they differ or have none."""
    summaries = {alert.summary for alert in group.alerts if alert.summary}
    return summaries.pop() if len(summaries) == 1 else ""


def _body(lines: Sequence[str], room: int, left_out: int) -> list[str]:
    """The alerts that fit, and how many others there are."""
    kept = _fitting(lines, room)
    if not kept and lines:
        kept = [_cut(lines[0], room)]  # a message that names no alert would be useless
    body = ["\n".join(kept)]
    left_out += len(lines) - len(kept)
    if left_out:
        body.append(f"**… and {left_out} more that are left out here**")
    return body


def _heading(group: AlertGroup) -> tuple[str, str, str]:
    for alert in group.firing or group.alerts:
        return (_sign(group), alert.name, alert.summary)
    return (_sign(group), group.group_key, "")


def _counts(groups: Sequence[AlertGroup]) -> str:
    words = []
    for severity in SEVERITIES:
        count = sum(n.severity == severity for n in groups if n.status == "firing")
        if count:
            words.append(f"{count} {severity}")
    resolved = sum(group.status == "resolved" for group in groups)
    if resolved:
        words.append(f"{resolved} resolved")
    return ", ".join(words)


def _runbooks(group: AlertGroup) -> list[tuple[str, str]]:
    found = {
        alert.runbook_url: alert.name
        for alert in group.alerts
        if alert.runbook_url.startswith(_LINKS)
    }
    return [(name, _link(url)) for url, name in found.items()]


def _link(url: str) -> str:
    return url.replace(" ", "%20").replace("(", "%28").replace(")", "%29")


def _duration(seconds: float) -> str:
    minutes = max(0, round(seconds)) // 60
    if minutes < 1:
        return f"{max(0, round(seconds))} s"
    if minutes < 60:  # noqa: PLR2004 - minutes of an hour
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"  # noqa: PLR2004 - hours of a day


def _clip(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _size(*lines: str) -> int:
    """Bytes of lines inside the JSON body, with what stands between them."""
    return sum(len(json.dumps(line, ensure_ascii=False).encode()) + 4 for line in lines)


def _fitting(lines: Sequence[str], room: int) -> list[str]:
    kept: list[str] = []
    for line in lines:
        room -= _size(line)
        if room < 0:
            break
        kept.append(line)
    return kept


def _cut(line: str, room: int) -> str:
    while line and _size(line) > room:
        line = line[: len(line) * 3 // 4]
    return line + "…"
