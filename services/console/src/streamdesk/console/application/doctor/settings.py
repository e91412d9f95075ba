"""Settings and secrets that must be there; none of them is ever shown."""

from collections.abc import Mapping

from streamdesk.console.domain.finding import Finding, failed, not_applicable, ok, warning

MIN_SECRET_BYTES = 32
"""RFC 7518, 3.2: a key of HS256 is as long as its hash, or longer."""

LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def check_settings(fetcher: Mapping[str, str], gateway: Mapping[str, str]) -> list[Finding]:
    """The checks of two services' settings.

    Args:
        fetcher: environment of the news fetcher.
        gateway: environment of the gateway.
    """
    return [_news_key(fetcher), _gateway_secret(gateway)]


def _news_key(given: Mapping[str, str]) -> Finding:
    check, source = "settings.news-key", given.get("NEWS_SOURCE", "")
    if source.lower() != "eodhd":
        return not_applicable(check, f"NEWS_SOURCE is {source or 'not set'}: news need no key")
    if given.get("EODHD_API_KEY", "").strip():
        return ok(check, "EODHD_API_KEY is set")
    return failed(
        check,
        "NEWS_SOURCE is eodhd and EODHD_API_KEY is not set: no news are fetched",
        "set EODHD_API_KEY of the news fetcher (in a cluster from a secret)",
    )


def _gateway_secret(given: Mapping[str, str]) -> Finding:
    check, secret = "settings.gateway-secret", given.get("GATEWAY_JWT_SECRET", "")
    # Kubernetes sets GATEWAY_PORT=tcp://… by itself where a Service is called gateway.
    named = {name for name in given if name in ("GATEWAY_HOST", "GATEWAY_JWT_SECRET")}
    if not named and not given.get("GATEWAY_PORT", "").isdigit():
        return not_applicable(check, "no GATEWAY_ variable is set here, and no gateway runs here")
    host = given.get("GATEWAY_HOST", "") or "0.0.0.0"  # noqa: S104 - the gateway's default
    if secret and len(secret.encode()) < MIN_SECRET_BYTES:
        return failed(
            check,
            f"GATEWAY_JWT_SECRET has fewer than {MIN_SECRET_BYTES} bytes: the gateway refuses it",
            "make one with `openssl rand -hex 32`",
        )
    if secret:
        return ok(check, "GATEWAY_JWT_SECRET is set")
    if host in LOOPBACK:
        return ok(check, f"not set, and the page is for this machine alone ({host})")
    return warning(
        check,
        f"GATEWAY_JWT_SECRET is not set and the page listens on {host}: "
        "whoever reaches it may look",
        "set GATEWAY_JWT_SECRET (`openssl rand -hex 32`), or GATEWAY_HOST=127.0.0.1",
    )
