"""Write what follows from services.toml, or check it: what `make services` calls.

A generated part of a file stands between two comments, `services.toml: <what>` and
`services.toml: end`; the comments stay, with their indentation. Only the standard library: images
are built with it where nothing is installed yet.
"""

import argparse
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
END = "services.toml: end"
PART = re.compile(r"^(?P<indent> *)\S.*services\.toml: (?P<what>[a-z ]+?)(?: \*/}})?$")


@dataclass(frozen=True, slots=True)
class ServiceEntry:
    """One section of services.toml; the file's head says what each key means."""

    name: str
    demo: bool
    image: bool
    reports: bool
    needs: list[str] = field(default_factory=list)
    port: int | None = None
    volume: str | None = None
    template: str | None = None

    @property
    def package(self) -> str:
        """Its package's name below `streamdesk`."""
        return self.name.replace("-", "_")

    @property
    def section(self) -> str:
        """Its section of the chart's values."""
        first, *others = self.name.split("-")
        return first + "".join(word.capitalize() for word in others)


def services(root: Path = ROOT) -> list[ServiceEntry]:
    """All services in the order of the flow.

    Raises:
        TypeError: a section has an unknown key, or lacks one.
    """
    listed = tomllib.loads((root / "services.toml").read_text())
    return [ServiceEntry(name=name, **facts) for name, facts in listed.items()]


def in_cluster(root: Path = ROOT) -> list[ServiceEntry]:
    """Those that run in a cluster."""
    return [service for service in services(root) if service.image]


def libraries(root: Path) -> list[str]:
    """Folders of the libraries, by name."""
    return sorted(path.parent.name for path in root.glob("libs/*/pyproject.toml"))


def _packages(root: Path) -> Iterator[str]:
    for name in libraries(root):
        yield f"streamdesk.{name.replace('-', '_')}"
    for service in services(root):
        yield f"streamdesk.{service.package}"


def _sources(root: Path) -> Iterator[str]:
    folders = [f"libs/{name}" for name in libraries(root)]
    folders += [f"services/{service.name}" for service in services(root)]
    yield from (f'"{folder}/src",' for folder in folders)


def _service_packages(root: Path) -> Iterator[str]:
    yield from (f"streamdesk.{service.package}" for service in services(root))


def _row_of_services(root: Path) -> Iterator[str]:
    yield " | ".join(_service_packages(root))


def _reporting(root: Path) -> Iterator[str]:
    yield from (f'"{service.name}",' for service in services(root) if service.reports)


def _chart_facts(root: Path) -> Iterator[str]:
    for service in in_cluster(root):
        facts = [f"section: {service.section}", f"speaks: [{', '.join(service.needs)}]"]
        facts += [f"http: {service.port}"] if service.port else []
        facts += [f"bars: {service.volume}"] if service.volume else []
        facts += [f"{service.template}: true"] if service.template else []
        yield f"{service.name}: {{{', '.join(facts)}}}"


def _artifacts(root: Path) -> Iterator[str]:
    """One image a service, synced with every library: the recipe copies all of them."""
    named: set[str] = set()
    for service in in_cluster(root):
        yield f"- image: streamdesk/{service.name}"
        yield "  context: ."
        yield "  docker:"
        yield "    dockerfile: services/Dockerfile"
        yield f"    buildArgs: {{SERVICE: {service.name}}}"
        if not named:
            yield "  # A change of any other file (pyproject.toml, the lock) builds a new image."
        yield "  sync:"
        yield "    manual:"
        for name in libraries(root):
            anchor = name.replace("-", "_")
            rule = "" if anchor in named else f" {_sync_rule(f'libs/{name}')}"
            yield f"      - {'*' if anchor in named else '&'}{anchor}{rule}"
            named.add(anchor)
        yield f"      - {_sync_rule(f'services/{service.name}')}"


def _sync_rule(folder: str) -> str:
    return f'{{src: "{folder}/src/**/*", dest: /sources, strip: {folder}/src/}}'


def _image_values(root: Path) -> Iterator[str]:
    for service in in_cluster(root):
        name = f"streamdesk_{service.package}"
        yield f'{service.section}.image.repository: "{{{{.IMAGE_REPO_{name}}}}}"'
        yield f'{service.section}.image.tag: "{{{{.IMAGE_TAG_{name}}}}}"'


Render = Callable[[Path], Iterable[str]]
PARTS: dict[str, dict[str, Render]] = {
    "pyproject.toml": {"sources": _sources},
    ".importlinter": {
        "packages": _packages,
        "row of services": _row_of_services,
        "service packages": _service_packages,
    },
    "skaffold.yaml": {"artifacts": _artifacts, "images": _image_values},
    "charts/streamdesk/templates/_helpers.tpl": {"facts": _chart_facts},
    "libs/contracts/src/streamdesk/contracts/topics.py": {"reporting services": _reporting},
}


def rendered(root: Path, name: str) -> str:
    """A file of PARTS with its generated parts as they should be.

    Raises:
        SystemExit: a part is missing, unknown or has no end.
    """
    parts = PARTS[name]
    lines = iter((root / name).read_text().splitlines())
    written: list[str] = []
    missing = set(parts)
    for line in lines:
        written.append(line)
        found = PART.match(line)
        if found is None:
            continue
        what = found["what"]
        if what not in parts:
            sys.exit(f"{name}: unknown part {what!r}; expected one of {', '.join(parts)}")
        missing.discard(what)
        written += [f"{found['indent']}{text}".rstrip() for text in parts[what](root)]
        for old in lines:
            if END in old:
                written.append(old)
                break
        else:
            sys.exit(f"{name}: the part {what!r} has no end ({END})")
    if missing:
        sys.exit(f"{name}: no line says where to write {', '.join(sorted(missing))}")
    return "\n".join(written) + "\n"


def main() -> None:
    """Read the arguments; write, check or list."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing, fail on drift")
    parser.add_argument("--images", action="store_true", help="print the services with an image")
    options = parser.parse_args()
    if options.images:
        print("\n".join(service.name for service in in_cluster()))
        return
    texts = {name: rendered(ROOT, name) for name in PARTS}
    stale = [name for name, text in texts.items() if text != (ROOT / name).read_text()]
    if options.check and stale:
        sys.exit(f"services.toml says otherwise: {', '.join(stale)}; run `make services`")
    for name in stale:
        (ROOT / name).write_text(texts[name])
    print(f"services: {len(services())} listed, {len(stale)} of {len(texts)} files written")


if __name__ == "__main__":
    main()
