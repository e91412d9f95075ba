"""What can go wrong when trades are booked."""


class OversoldError(Exception):
    """A trade sells more than is held; nothing can be booked from there."""
