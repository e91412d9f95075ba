import pytest
from pydantic import SecretStr

from streamdesk.websocket_gateway.adapters.tokens import TokenVerifier
from streamdesk.websocket_gateway.entrypoints.cli import main

KEY = "placeholder-of-more-than-32-bytes-0123456789"


def minted(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    main(["mint", *arguments])
    return capsys.readouterr().out.strip()


def test_a_minted_token_allows_its_holder_to_read_but_not_to_send(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATEWAY_JWT_SECRET", KEY)
    access = TokenVerifier(SecretStr(KEY)).verify(minted(capsys, "--sub", "ann"))
    assert (access.user, access.patterns, access.may_publish) == ("ann", None, False)


def test_a_minted_token_can_be_restricted_to_channels_and_allowed_to_send(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATEWAY_JWT_SECRET", KEY)
    arguments = ("--sub", "ann", "--channel", "events:news", "--publish")
    access = TokenVerifier(SecretStr(KEY)).verify(minted(capsys, *arguments))
    assert (access.patterns, access.may_publish) == (("events:news",), True)


@pytest.mark.parametrize(("secret", "hours"), [("short", "1"), (KEY, "0")])
def test_no_token_is_made_that_the_gateway_would_refuse(
    monkeypatch: pytest.MonkeyPatch, secret: str, hours: str
) -> None:
    monkeypatch.setenv("GATEWAY_JWT_SECRET", secret)
    with pytest.raises(SystemExit, match=r"32 bytes or more|more than 0"):
        main(["mint", "--sub", "ann", "--hours", hours])
