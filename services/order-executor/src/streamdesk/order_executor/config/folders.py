"""The folders of the files that settings name."""

from pathlib import Path

from streamdesk.order_executor.config.settings import Settings
from streamdesk.runtime import BadSettingError


def make_folders(settings: Settings) -> None:
    """Make the folders of the files that the settings name.

    Raises:
        BadSettingError: one cannot be made.
    """
    for name in ("ledger_url", "paper_broker_url"):
        _make_folder(name, getattr(settings, name).get_secret_value())


def _make_folder(name: str, url: str) -> None:
    scheme, _, path = url.partition(":///")
    if not scheme.startswith("sqlite"):
        return
    folder = Path(path).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadSettingError(
            name.upper(), url, f"a folder that can be written ({error})"
        ) from error
