"""The fake news API as a program of its own."""

import json
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from streamdesk.news_fetcher import errors
from streamdesk.news_fetcher.adapters.eodhd.client import EodhdSource
from streamdesk.news_fetcher.adapters.news_source import NewsQuery
from streamdesk.news_fetcher.domain.quota import Quota
from tests import eodhd_server
from tests.eodhd_server import KEY

GUARD_SECONDS = 60


async def test_the_fake_server_needs_only_python_and_is_scripted_over_http() -> None:
    program = str(Path(eodhd_server.__file__))
    command = [sys.executable, "-I", "-S", program, "--generate", "8", "--tickers", "AAPL.US"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: ASYNC220 - its first line is awaited
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            script = json.dumps({"answers": [{"status": 422}]}).encode()
            urllib.request.urlopen(f"{url}/_script", script, timeout=GUARD_SECONDS).close()  # noqa: ASYNC210, S310 - loopback
            source = EodhdSource(SecretStr(KEY), url, quota=Quota(100), timeout_seconds=30)
            now = datetime.now(UTC)
            query = NewsQuery(ticker="AAPL.US", since=now - timedelta(hours=1), until=now)
            with pytest.raises(errors.BadRequestError):
                await source.fetch(query)
            assert len(await source.fetch(query)) == 8
            await source.close()
            with urllib.request.urlopen(f"{url}/_requests", timeout=GUARD_SECONDS) as answer:  # noqa: ASYNC210, S310 - loopback
                shown = json.loads(answer.read())
            assert [one["calls"] for one in shown if one["path"] == "/api/news"] == [0, 10]
            assert KEY not in json.dumps(shown)
        finally:
            process.terminate()
