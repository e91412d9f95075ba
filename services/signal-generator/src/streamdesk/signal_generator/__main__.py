"""Starts the signal generator."""

from streamdesk.runtime import run
from streamdesk.signal_generator.config import Settings
from streamdesk.signal_generator.factory import build


def main() -> None:
    """Run until asked to stop."""
    run("signal-generator", Settings, build)


if __name__ == "__main__":
    main()
