"""Build the services' images, streamdesk/<service>:<tag>: what `make images` calls.

A variant, streamdesk/<service>-<extra>:<tag>, is the service with one of its extras.

Prints a table of what each adds to the base image, and fails when one adds more than the limit.
Arguments that are not named below go to `docker build`, as `--no-cache` or
`--build-arg BASE_IMAGE=...` do.
"""

import argparse
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

from tools.services import in_cluster

ROOT = Path(__file__).resolve().parent.parent
RECIPE = "services/Dockerfile"
# Services with an extra that weighs too much for those who do not use it.
VARIANTS = {"news-filter-finbert": ("news-filter", "finbert")}
BYTES_IN_MB = 1_000_000
LIMIT_MB = 120.0


class BuildError(Exception):
    """A build failed; the message says which one."""


def images() -> list[str]:
    """What is built: the services, and the variants of some."""
    return sorted([*(service.name for service in in_cluster()), *VARIANTS])


def parts(image: str) -> tuple[str, str]:
    """The service in an image, and its extra; the empty text for none."""
    return VARIANTS.get(image, (image, ""))


def description(service: str) -> str:
    """What a service says about itself in its pyproject.toml."""
    manifest = tomllib.loads((ROOT / "services" / service / "pyproject.toml").read_text())
    return str(manifest["project"]["description"])


def revision() -> str:
    """The commit that the checkout stands at, with `-dirty` where files differ from it."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


class Builder:
    """Builds with one Docker client.

    Args:
        docker: the client's command line.
        passed: arguments for every `docker build`.
        context: the checkout to build from.
    """

    def __init__(self, docker: str, passed: list[str], context: Path = ROOT) -> None:
        self._docker = shlex.split(docker)
        self._passed = passed
        self._context = context

    def build(self, image: str, tag: str) -> str:
        """Build one of `images()`; returns its name.

        Raises:
            BuildError: it cannot be built; Docker's own account went to stderr.
        """
        name = f"streamdesk/{image}:{tag}"
        service, extra = parts(image)
        arguments = {
            "SERVICE": service,
            "EXTRA": extra,
            "DESCRIPTION": description(service),
            "VERSION": tag,
            "REVISION": revision(),
        }
        words = [f"--build-arg={key}={value}" for key, value in arguments.items()]
        self._run("build", *words, f"--tag={name}", what=name)
        return name

    def base_bytes(self) -> int:
        """Size of the image that all stand on."""
        # Its name alone would not do: a builder may keep what it pulled to itself.
        image = self._run("build", "--target=base", what="the base image")
        return self.bytes_of(image)

    def bytes_of(self, image: str) -> int:
        """Size of an image, all its layers uncompressed."""
        return int(self._run("inspect", "--format={{.Size}}", image, what=image))

    def _run(self, verb: str, *words: str, what: str) -> str:
        command = [*self._docker, "image", verb, *words]
        if verb == "build":
            command += ["--quiet", f"--file={RECIPE}", *self._passed, "."]
        try:
            done = subprocess.run(
                command, cwd=self._context, stdout=subprocess.PIPE, text=True, check=False
            )
        except FileNotFoundError as error:
            raise BuildError(f"no program {error.filename!r}; name a client: DOCKER=...") from error
        if done.returncode:
            raise BuildError(f"{what}: `{' '.join(command[:3])}` failed; see above")
        return done.stdout.strip()


def table(sizes: Mapping[str, int], base_bytes: int) -> str:
    """What each image adds to the base, the largest first.

    Args:
        sizes: the images' sizes in bytes, by name.
        base_bytes: the base's.
    """
    width = max(map(len, sizes), default=0)
    rows = [f"{'image':<{width}}  over the base"]
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        rows.append(f"{name:<{width}}  {(size - base_bytes) / BYTES_IN_MB:10.1f} MB")
    return "\n".join(rows)


def too_large(sizes: Mapping[str, int], base_bytes: int, limit_mb: float) -> list[str]:
    """The images that add more to the base than the limit, in megabytes, allows."""
    return [name for name, size in sizes.items() if size - base_bytes > limit_mb * BYTES_IN_MB]


def main() -> int:
    """Read the arguments, build, and print the sizes."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--docker", default="docker", help="the client [docker]")
    parser.add_argument("--tag", default="dev", help="tag of the images, and their version [dev]")
    parser.add_argument(
        "--only", action="append", choices=images(), help="only this one; may be repeated"
    )
    parser.add_argument(
        "--limit-mb", type=float, default=LIMIT_MB, help=f"most over the base [{LIMIT_MB:g}]"
    )
    options, passed = parser.parse_known_args()
    builder = Builder(options.docker, passed)
    try:
        base_bytes = builder.base_bytes()
        names = [builder.build(image, options.tag) for image in options.only or images()]
        sizes = {name: builder.bytes_of(name) for name in names}
    except BuildError as error:
        print(f"images: {error}", file=sys.stderr)
        return 1
    print(table(sizes, base_bytes))
    large = too_large(sizes, base_bytes, options.limit_mb)
    if large:
        limit = f"{options.limit_mb:g} MB over the base"
        print(f"images: {', '.join(large)}: more than {limit}", file=sys.stderr)
    return 1 if large else 0


if __name__ == "__main__":
    sys.exit(main())
