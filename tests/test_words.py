"""One word has one meaning: what tools/words.py holds."""

from pathlib import Path

import pytest

from tools.words import class_names, doubled, phrases, tracked


def test_no_public_class_name_occurs_in_two_modules() -> None:
    assert doubled(list(tracked())) == {}


def test_the_classes_of_every_package_are_looked_at() -> None:
    names = class_names(list(tracked()))
    assert {"Bus", "SignalGenerated", "BusMetrics"} <= names.keys()


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ("Redis is away", "text.md:1: 'is away': say unreachable, unavailable, down"),
        ("the ledger is not to be had", "text.md:1: 'not to be had': say unavailable"),
        ("entries in hand", "text.md:1: 'in hand': say pending, in flight"),
        ("the works of a service", "text.md:1: 'works': say tasks, workers"),
        ("it works", None),
        ("the server is unreachable", None),
    ],
)
def test_a_banned_phrase_is_named_with_its_place_and_what_to_say(
    line: str, finding: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.words.ROOT", tmp_path)
    (tmp_path / "text.md").write_text(line)
    found = list(phrases(tmp_path / "text.md"))
    assert found == ([finding] if finding else [])


def test_each_file_is_read_once_and_generated_ones_are_not() -> None:
    names = [path.name for path in tracked()]
    assert "asyncapi.json" not in names
    assert len(set(tracked())) == len(names)
