"""How alerts read on a phone: DingTalk's Markdown, the important things first, never too long.

The robot knows headings, bold, lists, quotes and links; a line ends with two spaces. The title is
what the phone shows before anybody looks.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from streamdesk.alert_relay.domain.alert_group import SEVERITIES, Notice, Severity, worst
from streamdesk.contracts.events import AlertState

SIGNS = {"critical": "🔴", "warning": "🟡", "info": "🔵"}
RESOLVED_SIGN = "✅"
LONGEST_TITLE = 90
PLAIN_BYTES = 3_000
"""Size of a message whose first form was refused: perhaps it was its length."""

DIGEST_ALERTS = 3
"""Alerts of one group that a digest names."""

_ROOM_BYTES = 400
"""Kept for the lines at the end, and what surrounds the text in the body."""

_LINKS = ("https://", "http://")


@dataclass(frozen=True, slots=True)
class Style:
    """What the settings say about messages.

    Args:
        max_bytes: of a message, as it is sent.
        utc_offset_hours: of the clock that times are shown in.
        mentions: who is mentioned, by severity: mobile numbers, user ids, or `all`.
        keyword: a word that the robot asks for in each message; empty for none.
    """

    max_bytes: int = 18_000
    utc_offset_hours: float = 0.0
    mentions: dict[Severity, tuple[str, ...]] = field(default_factory=dict)
    keyword: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """A message for the robot.

    Args:
        title: for the phone's list.
        text: Markdown.
        mentioned: who is mentioned.
        notices: what is told in it.
    """

    title: str
    text: str
    mentioned: tuple[str, ...]
    notices: tuple[Notice, ...]

    def body(self) -> bytes:
        """The JSON that the robot takes."""
        people = [name for name in self.mentioned if name != "all"]
        mobiles = [name for name in people if name.lstrip("+").replace("-", "").isdigit()]
        at: dict[str, Any] = {
            "atMobiles": mobiles,
            "atUserIds": [name for name in people if name not in mobiles],
            "isAtAll": "all" in self.mentioned,
        }
        content = {"title": self.title, "text": self.text}
        value = {"msgtype": "markdown", "markdown": content, "at": at}
        return json.dumps(value, ensure_ascii=False).encode()


class Writer:
    """Writes messages.

    Args:
        style: as the settings say.
    """

    def __init__(self, style: Style) -> None:
        self._style = style
        self._zone = timezone(timedelta(hours=style.utc_offset_hours))

    def message(self, notices: Sequence[Notice], now: float) -> Message:
        """Tell one notice in full, or of several as many as fit.

        Args:
            notices: at least one, the most urgent first.
            now: seconds since 1970.
        """
        return self._full(notices[0], now) if len(notices) == 1 else self._digest(notices, now)

    # -- one notice ---------------------------------------------------------------------------

    def _full(self, notice: Notice, now: float) -> Message:
        sign, word = _sign(notice), _word(notice)
        names = list(dict.fromkeys(alert.name for alert in notice.alerts)) or [notice.group_key]
        name = names[0] + (f" and {len(names) - 1} more rules" if len(names) > 1 else "")
        count = len(notice.firing or notice.alerts) + notice.left_out
        times = f" x{count}" if count > 1 else ""
        title = _clip(f"{sign} {word} {name}{times}", LONGEST_TITLE)
        head = [f"### {sign} {word} · {name}{times}"]
        summaries = list(dict.fromkeys(each.summary for each in notice.alerts if each.summary))
        if len(summaries) == 1:
            head.append(f"**{summaries[0]}**")
        tail = self._tail(notice)
        limit = self._style.max_bytes if not notice.refusals else PLAIN_BYTES
        room = limit - _size(title, *head, *tail, *self._mentions([notice])) - _ROOM_BYTES
        shared = summaries[0] if len(summaries) == 1 else ""
        lines = [self._alert(each, shared, now) for each in [*notice.firing, *notice.resolved]]
        kept = _fitting(lines, room)
        if not kept and lines:
            kept = [_cut(lines[0], room)]
        body = ["\n".join(kept)]
        left_out = notice.left_out + len(lines) - len(kept)
        if left_out:
            body.append(f"**… and {left_out} more that are left out here**")
        return self._message(title, [*head, *body, *tail], [notice])

    def _alert(self, alert: AlertState, shared: str, now: float) -> str:
        words = [alert.where, "" if alert.summary == shared else alert.summary, alert.detail]
        said = " — ".join(word for word in words if word) or alert.name
        sign = RESOLVED_SIGN + " " if alert.status == "resolved" else ""
        return f"- {sign}{said}  \n  {self._times(alert, now)}"

    def _times(self, alert: AlertState, now: float) -> str:
        began = alert.started_at
        if alert.ended_at is not None:
            lasted = _span((alert.ended_at - began).total_seconds())
            return f"{self._clock(began, now)} to {self._clock(alert.ended_at, now)} ({lasted})"
        lasted = _span(now - began.timestamp())
        return f"since {self._clock(began, now)} ({lasted})"

    def _tail(self, notice: Notice) -> list[str]:
        links = [
            f"[Runbook{'' if len(_runbooks(notice)) == 1 else ' ' + name}]({url})"
            for name, url in _runbooks(notice)[:3]
        ]
        if notice.alertmanager_url.startswith(_LINKS):
            links.append(f"[Alertmanager]({_link(notice.alertmanager_url)})")
        tail = [" · ".join(links)] if links else []
        if notice.again:
            tail.append("> A reminder: this has not changed.")
        if notice.perhaps_told:
            tail.append("> Perhaps a repeat: no answer came when it was sent before.")
        return tail

    # -- a digest -----------------------------------------------------------------------------

    def _digest(self, notices: Sequence[Notice], now: float) -> Message:
        room = self._style.max_bytes - 3 * _ROOM_BYTES - _size(*self._mentions(notices))
        chosen: dict[tuple[str, str, str], list[str]] = {}
        told: list[Notice] = []
        for notice in notices:
            heading, lines = _heading(notice), list(self._lines(notice, now))
            room -= _size(*lines) + (0 if heading in chosen else _size(" ".join(heading)) + 20)
            if room < 0 and told:
                break
            chosen.setdefault(heading, []).extend(lines)
            told.append(notice)
        counts = _counts(told)
        later = len(notices) - len(told)
        title = _clip(f"{_sign(told[0])} {counts}", LONGEST_TITLE)
        parts = [f"### {_sign(told[0])} {counts}, in one message"]
        for (sign, name, summary), lines in chosen.items():
            said = f" — {summary}" if summary else ""
            parts.append("\n".join([f"{sign} **{name}**{said}  ", *lines]))
        if later:
            parts.append(f"> {later} more groups follow in the next message.")
        if any(notice.perhaps_told for notice in told):
            parts.append("> Perhaps a repeat in part: no answer came when it was sent before.")
        return self._message(title, parts, told)

    def _lines(self, notice: Notice, now: float) -> Iterator[str]:
        alerts = [*notice.firing, *notice.resolved]
        for alert in alerts[:DIGEST_ALERTS]:
            where = alert.where or alert.name
            detail = f" — {_clip(alert.detail, 200)}" if notice.urgent and alert.detail else ""
            yield f"- {_clip(where, 120)}{detail}, {self._times(alert, now)}"
        more = len(alerts) - DIGEST_ALERTS + notice.left_out
        if len(alerts) > DIGEST_ALERTS or notice.left_out:
            yield f"- … and {max(more, notice.left_out)} more of this group"
        if notice.urgent:
            yield from (f"- [Runbook]({url})" for _, url in _runbooks(notice)[:1])

    # -- both ---------------------------------------------------------------------------------

    def _message(self, title: str, parts: list[str], notices: Sequence[Notice]) -> Message:
        mentioned = self._mentions(notices)
        text = "\n\n".join(part for part in parts if part)
        if mentioned:  # who is not named in the text, too, is not told
            text += "\n\n" + " ".join(f"@{name}" for name in mentioned)
        keyword = self._style.keyword
        if keyword and keyword not in text:
            text += f"\n\n{keyword}"
        return Message(title, text, mentioned, tuple(notices))

    def _mentions(self, notices: Sequence[Notice]) -> tuple[str, ...]:
        firing = [alert for notice in notices for alert in notice.firing]
        return self._style.mentions.get(worst(firing), ()) if firing else ()

    def _clock(self, moment: datetime, now: float) -> str:
        local = moment.astimezone(self._zone)
        today = datetime.fromtimestamp(now, UTC).astimezone(self._zone).date()
        day = "" if local.date() == today else f"{local:%d %b} "
        hours = self._style.utc_offset_hours
        return f"{day}{local:%H:%M} UTC{f'{hours:+g}' if hours else ''}"


def _sign(notice: Notice) -> str:
    return RESOLVED_SIGN if notice.status == "resolved" else SIGNS[notice.severity]


def _word(notice: Notice) -> str:
    return "RESOLVED" if notice.status == "resolved" else notice.severity.upper()


def _heading(notice: Notice) -> tuple[str, str, str]:
    for alert in notice.firing or notice.alerts:
        return (_sign(notice), alert.name, alert.summary)
    return (_sign(notice), notice.group_key, "")


def _counts(notices: Sequence[Notice]) -> str:
    words = []
    for severity in SEVERITIES:
        count = sum(n.severity == severity for n in notices if n.status == "firing")
        if count:
            words.append(f"{count} {severity}")
    resolved = sum(notice.status == "resolved" for notice in notices)
    if resolved:
        words.append(f"{resolved} resolved")
    return ", ".join(words)


def _runbooks(notice: Notice) -> list[tuple[str, str]]:
    found = {
        alert.runbook_url: alert.name
        for alert in notice.alerts
        if alert.runbook_url.startswith(_LINKS)
    }
    return [(name, _link(url)) for url, name in found.items()]


def _link(url: str) -> str:
    return url.replace(" ", "%20").replace("(", "%28").replace(")", "%29")


def _span(seconds: float) -> str:
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
