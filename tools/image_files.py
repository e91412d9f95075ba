"""Select and slim the files of an image: called by services/Dockerfile.

`image_files.py members SERVICE` prints the folders of the service and of the libraries that it
needs, themselves and through others, as its pyproject.toml says.

`image_files.py slim FOLDER` removes from installed packages what no running program reads: their
tests, headers, sources of compiled modules, type stubs, symbols for debuggers and linkers, and
parts that none of our services uses.

`image_files.py freeze FOLDER` gives every file one fixed time, so that equal content makes an
equal layer.

Only the standard library: it runs in a base image in which nothing is installed yet.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

OWN = re.compile(r"streamdesk-([a-z0-9-]+)")
# Folders of a package that only its own developers, a compiler, or an auditor reads.
FOLDERS = {"tests", "test", "include", "sboms"}
# Parts of packages that can be done without, and that nothing of ours may import: a test says so.
UNUSED = (
    "numpy/f2py", "numpy/polynomial", "numpy/random",
    "onnxruntime/backend", "onnxruntime/datasets", "onnxruntime/quantization",
    "onnxruntime/tools", "onnxruntime/transformers",
)  # fmt: skip
# A second copy of what its Python module has in itself, for programs in C.
FOR_C = ("onnxruntime/capi/libonnxruntime.so*",)
# Modules that only a package's own tests load.
TESTED_WITH = ("numpy/_core/_simd.*", "numpy/_core/*_tests.*")
SUFFIXES = {
    ".a", ".c", ".cc", ".cpp", ".h", ".hpp", ".pxd", ".pxi", ".pyi", ".pyx", ".proto",
}  # fmt: skip
# What an installer notes for itself: where it installed from, and when.
NOTES = {"direct_url.json", "uv_cache.json", "uv_build.json", "REQUESTED", "RECORD", "INSTALLER"}
# What makes a folder an environment to work in, for people and their shells.
SHELLS = {"CACHEDIR.TAG", ".gitignore", ".lock"}
# Only compiled modules larger than this are stripped; the small ones together are negligible.
STRIPPED_FROM_BYTES = 50_000
# ZIP files know no earlier time, and a time of 0 is taken for "none" by some tools.
FIXED_TIME_SECONDS = 315_532_800  # 1980-01-01


def needed(root: Path, folder: Path) -> Iterator[Path]:
    """The folders of our own packages that one of them names as dependencies."""
    manifest = tomllib.loads((folder / "pyproject.toml").read_text())
    for requirement in manifest["project"]["dependencies"]:
        found = OWN.match(requirement)
        if found:
            yield root / "libs" / found[1]


def members(root: Path, service: str) -> list[Path]:
    """A service and all libraries that it needs, in order of their names.

    Args:
        root: the repository.
        service: a folder of services/.

    Raises:
        SystemExit: one of them is not there.
    """
    waiting = [root / "services" / service]
    found: set[Path] = set()
    while waiting:
        folder = waiting.pop()
        if folder in found:
            continue
        if not (folder / "pyproject.toml").exists():
            name = folder.relative_to(root)
            sys.exit(f"{name}/pyproject.toml is not there, and the image of {service} needs it")
        found.add(folder)
        waiting.extend(needed(root, folder))
    return sorted(found)


def is_unread(path: Path, top: Path) -> bool:
    """Whether no running program reads this file or folder of an installed package."""
    inside = path.relative_to(top).as_posix()
    if any(fnmatchcase(inside, pattern) for pattern in (*UNUSED, *FOR_C, *TESTED_WITH)):
        return True
    if path.is_dir():
        # At the top, `test` would be a package of that name.
        return path.name in FOLDERS and path.parent != top
    if path.name in NOTES:
        return path.parent.suffix == ".dist-info"
    return path.suffix in SUFFIXES


def slim(environment: Path) -> None:
    """Remove what is not read, and the symbols for debuggers, from a virtual environment."""
    for name in SHELLS:
        (environment / name).unlink(missing_ok=True)
    for script in (environment / "bin").iterdir():
        if not script.name.startswith("python"):
            script.unlink()
    (top,) = (environment / "lib").glob("python*/site-packages")
    for path in sorted(top.rglob("*")):
        if path.exists() and is_unread(path, top):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in sorted(top.rglob("*.so")):
        # Libraries that a wheel brings along (numpy.libs) were rewritten by its packager, and
        # are stripped already: what rewrites them again may break them.
        if not path.parent.name.endswith(".libs"):
            strip(path)


def strip(module: Path) -> None:
    """Remove what debuggers and linkers read from a compiled module that has it."""
    if module.stat().st_size < STRIPPED_FROM_BYTES:
        return
    sections = subprocess.run(
        ["readelf", "--sections", "--wide", module], capture_output=True, text=True, check=True
    ).stdout
    if ".symtab" in sections:
        subprocess.run(["strip", "--strip-unneeded", module], check=True)


def freeze(folder: Path) -> None:
    """Set the times of a folder and all in it to a fixed one."""
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (FIXED_TIME_SECONDS, FIXED_TIME_SECONDS), follow_symlinks=False)


def main() -> None:
    """Read the arguments and do it."""
    match sys.argv[1:]:
        case ["members", service]:
            root = Path.cwd()
            print(*(folder.relative_to(root) for folder in members(root, service)))
        case ["slim", folder]:
            slim(Path(folder))
        case ["freeze", folder]:
            freeze(Path(folder))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
