"""The services of a desk, and the environment of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from streamdesk.console.domain.up_options import UpOptions

LOOPBACK = "127.0.0.1"
GRACE_SECONDS = 3.0  # less than they have before they are killed, so that they end by themselves
SQLITE = "sqlite:///"
RECORDED_STEPS_PER_SECOND = 10  # fast enough to see trades, slow enough to watch them
ANALYSIS_MINUTES = 1  # a person looking at a demo does not wait five
TRAIL_ATR = 3  # stops of the simulated market rise with it
RUN_NAME_CHARACTERS = 100  # what FEED_RUN may have
HISTORY_BARS = 200  # a HAMA state needs 144 of them


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One process of the desk.

    Args:
        name: unique; with a number where there are several.
        module: what Python runs.
        environment: variables on top of the user's own.
    """

    name: str
    module: str
    environment: Mapping[str, str]


def services(
    options: UpOptions,
    *,
    redis_url: str,
    page_port: int,
    analysis_port: int,
    ledger: Path,
    bars: Path,
    run: str,
    given: Mapping[str, str],
) -> tuple[ServiceSpec, ...]:
    """The services in the order of the flow.

    Args:
        options: how the desk is brought up.
        redis_url: where the bus is.
        page_port: where the gateway serves the page.
        analysis_port: where the analysis serves its API.
        ledger: folder for the ledger and the paper broker's account.
        bars: folder for the bars that the analysis keeps.
        run: names what is played: a recording resumes under the same name.
        given: the user's own variables; they win over the demo's choices, not over options.
    """
    trading = {**_hours(options, given), **_limits(options, given), **ledger_urls(ledger, given)}
    executors = [
        _spec("order-executor", options.executors, number, trading)
        for number in range(1, options.executors + 1)
    ]
    specs = [
        _spec("signal-generator", 1, 1, _market(options, run, given)),
        *executors,
        _spec("news-fetcher", 1, 1, _news(options)),
        _spec("news-filter", 1, 1, _tickers(options)),
        _spec("analysis", 1, 1, _analysis(options, analysis_port, bars, given)),
        _spec("websocket-gateway", 1, 1, _page(page_port, given)),
    ]
    if given.get("DINGTALK_URL"):  # without a robot there is nothing to relay to
        specs.append(_spec("alert-relay", 1, 1, _relay(given)))
    return tuple(_with_common(spec, redis_url) for spec in specs)


def ledger_urls(ledger: Path, given: Mapping[str, str]) -> dict[str, str]:
    """Where executors find the ledger and the paper broker's account.

    Args:
        ledger: the desk's folder for them.
        given: the user's own variables; they win.
    """
    urls = {
        "LEDGER_URL": f"{SQLITE}{ledger / 'ledger.db'}",
        "PAPER_BROKER_URL": f"{SQLITE}{ledger / 'paper-broker.db'}",
    }
    return _unless_given(urls, given)


def _hours(options: UpOptions, given: Mapping[str, str]) -> dict[str, str]:
    # The simulated market trades at whatever hour the desk is started.
    return _unless_given({"SESSIONS": "false"}, given) if options.bars is None else {}


def _limits(options: UpOptions, given: Mapping[str, str]) -> dict[str, str]:
    """Limits on loss of a simulated market, whose bars last a second: its minutes are hours."""
    if options.bars is not None:
        return {}
    guard = (
        '{"method": "StoplossGuard", "trade_limit": 4, "lookback_minutes": 1, "stop_minutes": 1}'
    )
    limits = {
        "PROTECTIONS": f"[{guard}]",
        # A day would end with the demo: what was lost would keep it from trading while it runs.
        "DAILY_LOSS_LIMIT_PERCENT": "0",
    }
    return _unless_given(limits, given)


def _spec(service: str, count: int, number: int, environment: Mapping[str, str]) -> ServiceSpec:
    name = f"{service}-{number}" if count > 1 else service
    return ServiceSpec(name, f"streamdesk.{service.replace('-', '_')}", environment)


def _with_common(spec: ServiceSpec, redis_url: str) -> ServiceSpec:
    common = {
        "REDIS_URL": redis_url,
        "INSTANCE": spec.name,
        "LOG_FORMAT": "json",
        "METRICS_HOST": LOOPBACK,
        "METRICS_PORT": "0",  # any free one; the service logs which
        "GRACE_SECONDS": f"{GRACE_SECONDS:g}",
    }
    return ServiceSpec(spec.name, spec.module, {**common, **spec.environment})


def _unless_given(values: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if not given.get(name)}


def replay_notes(options: UpOptions, given: Mapping[str, str]) -> tuple[str, ...]:
    """What a person should know of a recording that is played.

    Args:
        options: how the desk is brought up.
        given: the user's own variables.
    """
    if options.bars is None:
        return ()
    if given.get("FEED_IN_STEP"):
        return (f"Playing {options.bars}; FEED_IN_STEP={given['FEED_IN_STEP']}",)
    repeatable = "the same run gives the same ledger"
    if options.executors > 1:
        repeatable = "with one executor the same run would give the same ledger"
    return (f"Playing {options.bars} in step: each time waits for all decisions; {repeatable}",)


def _market(options: UpOptions, run: str, given: Mapping[str, str]) -> dict[str, str]:
    chosen: dict[str, str] = {}
    if options.symbols:
        chosen["SYMBOLS"] = ",".join(options.symbols)
    if options.seed is not None:
        chosen["FEED_SEED"] = str(options.seed)
    pace = "FEED_SPEED" if options.bars else "FEED_BARS_PER_SECOND"
    if options.speed is not None:
        chosen[pace] = f"{options.speed:g}"
    if options.bars is None:
        shown = {"FEED_HISTORY_BARS": f"{HISTORY_BARS}", "EXIT_TRAIL_ATR": f"{TRAIL_ATR}"}
        return {**_unless_given(shown, given), **chosen}
    recorded = {"FEED": "recorded", "FEED_FILE": str(options.bars)}
    # Another recording in the same folder is another run.
    name = f"{run}-{options.bars.name}"[:RUN_NAME_CHARACTERS]
    pace = f"{RECORDED_STEPS_PER_SECOND}"
    defaults = _unless_given({"FEED_SPEED": pace, "FEED_RUN": name}, given)
    return {**defaults, **recorded, **chosen}


def _news(options: UpOptions) -> dict[str, str]:
    chosen = _tickers(options)
    if options.seed is not None:
        chosen["NEWS_SEED"] = str(options.seed)
    if options.news is not None:
        chosen["NEWS_SOURCE"] = options.news
    if options.news_recording is not None:
        chosen["NEWS_RECORDING"] = options.news_recording
    return chosen


def _tickers(options: UpOptions) -> dict[str, str]:
    return {"NEWS_TICKERS": ",".join(options.symbols)} if options.symbols else {}


def _analysis(
    options: UpOptions, port: int, bars: Path, given: Mapping[str, str]
) -> dict[str, str]:
    choices = {
        "ANALYSIS_HOST": LOOPBACK,  # it requires no token
        "BAR_STORE_FOLDER": str(bars),
        "HAMA_SCHEDULER_INTERVAL": f"{ANALYSIS_MINUTES}",
    }
    if options.bars is None:  # then states are those of the bars that the page shows
        choices["HAMA_INTERVAL_SECONDS"] = given.get("FEED_INTERVAL_SECONDS") or "1"
    chosen = {"ANALYSIS_PORT": str(port)}
    if options.symbols:
        chosen["HAMA_SYMBOLS"] = ",".join(options.symbols)
    if options.seed is not None:
        chosen["FEED_SEED"] = str(options.seed)
    return {**_unless_given(choices, given), **chosen}


def _relay(given: Mapping[str, str]) -> dict[str, str]:
    # Without a token the webhook is for this machine alone.
    host = {} if given.get("ALERT_RELAY_TOKEN") else {"ALERT_RELAY_HOST": LOOPBACK}
    return _unless_given(host, given)


def _page(page_port: int, given: Mapping[str, str]) -> dict[str, str]:
    # Without a token the page is for this machine alone.
    host = {} if given.get("GATEWAY_JWT_SECRET") else {"GATEWAY_HOST": LOOPBACK}
    return {"GATEWAY_PORT": str(page_port), **_unless_given(host, given)}
