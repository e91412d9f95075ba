"""Take a picture of the page: tools/screenshot.py URL OUTPUT.png [WIDTHxHEIGHT].

Needs a Chromium (CHROMIUM, or one on the PATH) and a desk that runs (`make demo`).
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SETTLE_MS = 6_000  # sparklines need some seconds of life
TIMEOUT_MS = 30_000


def main() -> None:
    """Open the page, wait until it shows rows, and save it."""
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    url, output = sys.argv[1], Path(sys.argv[2])
    width, height = (sys.argv[3] if len(sys.argv) > 3 else "1600x1000").split("x")  # noqa: PLR2004 - argument count
    browser = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if browser is None:
        sys.exit(f"no Chromium: set CHROMIUM, or put one of {', '.join(NAMES)} on the PATH")
    with tempfile.TemporaryDirectory() as profile, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=browser,
            headless=True,
            chromium_sandbox=False,
            args=list(FLAGS),
            viewport={"width": int(width), "height": int(height)},
        )
        page = context.new_page()
        page.on("console", lambda message: print(f"console {message.type}: {message.text}"))
        page.on("pageerror", lambda error: print(f"page error: {error}"))
        page.goto(url)
        page.wait_for_selector("#signals tbody tr", timeout=TIMEOUT_MS)
        page.wait_for_timeout(SETTLE_MS)
        page.screenshot(path=output)
        context.close()
    print(f"{output}: {output.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
