"""Which channels a token allows."""

import pytest

from streamdesk.websocket_gateway.domain.access import OPEN, ChannelAccess


def test_without_the_claim_every_public_channel_is_allowed() -> None:
    assert ChannelAccess(user="ann").may_see("events:orders:AAPL.US")


def test_a_private_channel_belongs_to_its_user_regardless_of_the_claim() -> None:
    assert ChannelAccess(user="ann").may_see("user:ann")
    assert not ChannelAccess(user="ann", patterns=("user:*", "*")).may_see("user:bob")
    assert not OPEN.may_see("user:ann")


@pytest.mark.parametrize(
    ("pattern", "channel", "allowed"),
    [
        ("events:market", "events:market", True),
        ("events:market", "events:market:AAPL.US", True),
        ("events:tasks", "events:task:warm-up", True),
        ("events:market:AAPL.US", "events:market", False),
        ("events:market:*", "events:market:700.HK", True),
        ("events:market:*", "events:market", False),
        ("events:*", "events:orders", True),
        ("events:orders", "events:signals", False),
        ("events:market:0700.HK", "events:market:700.HK", True),
        ("events:market:700.HK", "events:market:00700.hk", True),
        ("events:market:700.HK", "events:market:7000.HK", False),
    ],
)
def test_a_name_includes_its_children_and_a_star_every_name_with_the_prefix(
    pattern: str, channel: str, allowed: bool
) -> None:
    assert ChannelAccess(user="ann", patterns=(pattern,)).may_see(channel) is allowed


def test_an_empty_claim_allows_nothing_public() -> None:
    assert not ChannelAccess(user="ann", patterns=()).may_see("events:system")


def test_a_user_whose_name_cannot_be_a_channel_has_none() -> None:
    assert ChannelAccess(user="auth0|123").own_channel is None
