"""Write or check the lock: requirements/*.txt, exact versions with hashes.

`dev.txt`, a file a service and one more for each of its extras (`<service>-<extra>.txt`, what the
service needs with it) come from the pyproject files. The others belong to environments of their
own and come from the `.in` files beside them: `bench-*.txt`, the peers that `make bench-bus`
compares with, and `calendars.txt`, which `make sessions` reads.

`lock.py` resolves again but keeps every pin that still fits, `lock.py --upgrade` takes the newest
of everything, `lock.py --check` fails when the files do not fit what they come from.

uv's own uv.lock is made in a copy of the workspace's pyproject files and thrown away with it:
it holds download addresses, which do not work behind another mirror.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"
HEAD = "# Written by `make lock`; do not edit.\n"
OLDEST_PYTHON = "3.11"


def pins(name: str) -> list[str]:
    """The pins in force, markers and all, as constraints for the next resolution."""
    file = REQUIREMENTS / name
    lines = file.read_text().splitlines() if file.exists() else []
    return [
        line.rstrip(" \\") for line in lines if "==" in line and not line.startswith((" ", "#"))
    ]


def copy_workspace(to: Path, constraints: list[str]) -> dict[str, list[str]]:
    """Copy all that uv needs to resolve; return the services' folder names with their extras."""
    services: dict[str, list[str]] = {}
    for manifest in [ROOT / "pyproject.toml", *ROOT.glob("*/*/pyproject.toml")]:
        target = to / manifest.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(manifest, target)
        (target.parent / "README.md").touch()
        if manifest.parent.parent.name == "services":
            services[manifest.parent.name] = extras(manifest)
    root = to / "pyproject.toml"
    listed = f"[tool.uv]\nconstraint-dependencies = {json.dumps(constraints)}\n"
    root.write_text(root.read_text().replace("[tool.uv]\n", listed, 1))
    tomllib.loads(root.read_text())
    return services


def extras(manifest: Path) -> list[str]:
    """The optional parts that a pyproject.toml names."""
    project = tomllib.loads(manifest.read_text())["project"]
    return sorted(project.get("optional-dependencies", {}))


def uv(folder: Path, *words: str) -> str:
    """Run uv in `folder`; its complaint, if any, goes to the user as it is."""
    done = subprocess.run(
        [shutil.which("uv") or str(ROOT / ".uv/bin/uv"), *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"uv {words[0]} failed: what is required does not resolve together (see above)")
    return done.stdout


def export(folder: Path, *words: str) -> str:
    """Export one file of the lock."""
    return HEAD + uv(
        folder, "export", "-q", "--frozen", "--no-emit-workspace", "--no-header",
        "--no-annotate", *words,
    )  # fmt: skip


def compile_listed(listed: Path, constraints: list[str]) -> str:
    """The file of an environment of its own, from the `.in` file that lists it."""
    with (
        tempfile.TemporaryDirectory() as name
    ):  # away from the pyproject files, which uv would read
        folder = Path(name)
        shutil.copy(listed, folder)
        (folder / "constraints.txt").write_text("\n".join(constraints))
        return HEAD + uv(
            folder, "pip", "compile", "-q", listed.name, "--constraints", "constraints.txt",
            "--universal", "--python-version", OLDEST_PYTHON, "--generate-hashes", "--no-header",
            "--no-annotate",
        )  # fmt: skip


def resolve(*, upgrade: bool) -> dict[str, str]:
    """All files of the lock by name."""

    def kept(name: str) -> list[str]:
        return [] if upgrade else pins(name)

    files = resolve_workspace(kept("dev.txt"))
    for listed in REQUIREMENTS.glob("*.in"):
        name = listed.with_suffix(".txt").name
        files[name] = compile_listed(listed, kept(name))
    return files


def resolve_workspace(constraints: list[str]) -> dict[str, str]:
    """The files of the lock that come from the pyproject files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        services = copy_workspace(folder, constraints)
        uv(folder, "lock", "-q")
        files = {"dev.txt": export(folder, "--all-packages", "--all-extras", "--all-groups")}
        for service, its_extras in services.items():
            words = ("--package", f"streamdesk-{service}", "--no-dev")
            files[f"{service}.txt"] = export(folder, *words)
            for extra in its_extras:
                files[f"{service}-{extra}.txt"] = export(folder, *words, "--extra", extra)
        return files


def check(files: dict[str, str]) -> None:
    """Exit with a line a file that does not fit."""
    present = {path.name: path.read_text() for path in REQUIREMENTS.glob("*.txt")}
    present.pop("uv.txt", None)
    stale = [name for name in sorted(files | present) if files.get(name) != present.get(name)]
    if stale:
        sys.exit(f"the lock does not fit what is required: {', '.join(stale)}; run `make lock`")
    print(f"lock: {len(files)} files fit what is required")


def main() -> None:
    """Read the arguments and do it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing, fail on drift")
    parser.add_argument("--upgrade", action="store_true", help="take the newest of everything")
    options = parser.parse_args()
    files = resolve(upgrade=options.upgrade)
    if options.check:
        check(files)
        return
    for old in REQUIREMENTS.glob("*.txt"):
        if old.name not in files and old.name != "uv.txt":
            old.unlink()
    for name, text in files.items():
        (REQUIREMENTS / name).write_text(text)
    print(f"lock: wrote {len(files)} files to {REQUIREMENTS.name}/")


if __name__ == "__main__":
    main()
