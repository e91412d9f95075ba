"""The Lua scripts of the Redis backend travel in the package, and say what they do."""

from importlib.resources import files

import pytest

from streamdesk.bus import BusConfig
from streamdesk.bus.backends.redis.backend import RedisBackend
from streamdesk.bus.backends.redis.commands import Script

FOLDER = files("streamdesk.bus.backends") / "lua"
COMMON = "common.lua"
NAMES = sorted(
    item.name.removesuffix(".lua")
    for item in FOLDER.iterdir()
    if item.name.endswith(".lua") and item.name != COMMON
)


def test_the_backend_loads_every_script_of_the_package_and_no_other() -> None:
    assert sorted(RedisBackend(BusConfig())._scripts) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_script_says_what_it_does_and_comes_with_what_all_share(name: str) -> None:
    script = Script(name)
    own = (FOLDER / f"{name}.lua").read_text()
    first = own.splitlines()[1 if own.startswith("#!") else 0]
    assert first.startswith("-- ")
    assert "-- KEYS: " in own
    assert (FOLDER / COMMON).read_text() in script.source
    assert script.source.startswith("#!") == own.startswith("#!")
