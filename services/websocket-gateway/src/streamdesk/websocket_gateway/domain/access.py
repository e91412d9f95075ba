"""Which channels a token allows.

A token may have a `channels` claim: a list of names. A name that ends in `*` stands for all names
with this prefix, and every name includes its children in the channel tree. Without the claim every
`events:` channel is allowed; an empty list allows none. `user:{sub}` is open to that user alone,
regardless of the claim.
"""

from dataclasses import dataclass

from streamdesk.contracts.channels import canonical_channel, is_channel, parent_of

USER_PREFIX = "user:"


@dataclass(frozen=True, slots=True)
class ChannelAccess:
    """What a connection or a request may do.

    Args:
        user: the token's `sub`; None without a token.
        patterns: the token's `channels` claim; None when it has none.
        expires_at: the token's `exp`, seconds since the epoch; None without a token.
        may_publish: whether it may send events into channels.
    """

    user: str | None = None
    patterns: tuple[str, ...] | None = None
    expires_at: float | None = None
    may_publish: bool = False

    @property
    def own_channel(self) -> str | None:
        """The private channel of the user, where the name can be one."""
        name = f"{USER_PREFIX}{self.user}"
        return name if self.user is not None and is_channel(name) else None

    def may_see(self, channel: str) -> bool:
        """Whether the token allows this channel."""
        if channel.startswith(USER_PREFIX):
            return channel == self.own_channel
        if self.patterns is None:
            return True
        names = (canonical_channel(channel), parent_of(channel))
        return any(_matches(pattern, name) for pattern in self.patterns for name in names if name)

    def expired(self, now: float) -> bool:
        """Whether the token has expired; `now` in seconds since the epoch."""
        return self.expires_at is not None and now >= self.expires_at


# Without a secret the gateway is open: for one machine or a private network.
OPEN = ChannelAccess(may_publish=True)


def _matches(pattern: str, name: str) -> bool:
    if pattern.endswith("*"):
        return name.startswith(pattern[:-1])
    return name == canonical_channel(pattern)
