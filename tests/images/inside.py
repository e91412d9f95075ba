"""Runs inside a container: what an image has in it, as JSON.

Only the standard library, and nothing of the tests: it comes along as an argument of the
interpreter. Its own argument is the module that the container would start.
"""

import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

SOURCES = Path("/app/src")
TOOLS = (
    "pip", "pip3", "uv", "gcc", "g++", "cc", "c++", "clang", "make", "as", "ld", "strip", "cargo",
)  # fmt: skip
FOLDERS = ("/", "/app", "/app/src", "/tmp")  # noqa: S108 - the container's own
INSTALLERS = ("pip", "ensurepip", "uv", "setuptools", "wheel")


def may_write(folder: str) -> bool:
    """Whether a file can be made there."""
    path = Path(folder, "written-by-a-test")
    try:
        path.touch()
    except OSError:
        return False
    path.unlink()
    return True


def installers() -> list[str]:
    """What could install something, for the service's interpreter or the one below it."""
    script = (
        f"import importlib.util as i;print(*(name for name in {INSTALLERS!r} if i.find_spec(name)))"
    )
    found: set[str] = set()
    for python in (sys.executable, Path(sys.executable).resolve()):
        done = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True)
        found.update(done.stdout.split())
    return sorted(found)


def uncompiled(module: str) -> list[str]:
    """The modules that a start reads and that come without their compiled form."""
    importlib.import_module(module)
    return sorted(
        name
        for name, loaded in sys.modules.items()
        if (spec := getattr(loaded, "__spec__", None))
        and (spec.origin or "").endswith(".py")
        and not Path(spec.cached).exists()
    )


def main() -> None:
    """Inspect the image and print the result."""
    (packages,) = Path("/app/lib").glob("python3*/site-packages")
    files = [path for path in packages.rglob("*") if path.is_file()]
    own = list(SOURCES.rglob("*"))
    findings = {
        "uid": os.getuid(),
        "gid": os.getgid(),
        "writable": [folder for folder in FOLDERS if may_write(folder)],
        "tools": [name for name in TOOLS if shutil.which(name)],
        "installers": installers(),
        "own": sorted(path.name for path in (SOURCES / "streamdesk").iterdir()),
        "owners_of_sources": sorted({path.stat().st_uid for path in own}),
        "owners_of_dependencies": sorted({path.stat().st_uid for path in files}),
        "dependencies": sorted(found.name.lower() for found in distributions(path=[str(packages)])),
        "suffixes": sorted({path.suffix for path in files}),
        "folders": sorted({path.parent.name for path in files}),
        "uncompiled": uncompiled(sys.argv[1]),
    }
    sys.stdout.write(json.dumps(findings))


main()
