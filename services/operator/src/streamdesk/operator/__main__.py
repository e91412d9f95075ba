"""Starts the operator."""

from streamdesk.operator.config import Settings
from streamdesk.operator.factory import build
from streamdesk.runtime import run


def main() -> None:
    """Run until stopped."""
    run("operator", Settings, build)


if __name__ == "__main__":
    main()
