"""The link of an article: one spelling for all readers, its hash, and the hashes seen last."""

import hashlib
from collections import OrderedDict
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from streamdesk.news_fetcher.errors import LinkInvalidError

LINK_MAX_CHARS = 4_000
HASH_HEX_DIGITS = 32  # 128 bits

_TRACKING_PREFIXES = ("utm_", "mc_", "hsa_", "pk_", "mtm_")
# Parameters that name the way a reader came, never the article.
_TRACKING_NAMES = frozenset({
    "gclid", "dclid", "fbclid", "msclkid", "yclid", "twclid", "igshid", "guccounter", "cmpid",
    "ncid", "soc_src", "soc_trk", ".tsrc", "ref", "ref_src", "spm", "_ga",
})  # fmt: skip
_DEFAULT_PORTS = {"http": 80, "https": 443}


def normalise_link(link: str) -> str:
    """One spelling of an article's link, without what differs from reader to reader.

    Lower-case scheme and host, no user, default port, fragment, tracking parameter or trailing
    slash; the other parameters sorted.

    Raises:
        LinkInvalidError: not an absolute http or https address, or longer than 4,000 characters.
    """
    try:
        parts = urlsplit(link)
        authority = _authority(parts)
        query = urlencode(_own_parameters(parts.query))
    except ValueError as error:
        raise LinkInvalidError(link, f"a well-formed address ({error})") from error
    if parts.scheme not in _DEFAULT_PORTS or not authority:
        raise LinkInvalidError(link, "an absolute http or https address")
    # Not by urlunsplit: what has no path, or only a slash, becomes the same link.
    normal = f"{parts.scheme}://{authority}{parts.path.rstrip('/')}" + (
        f"?{query}" if query else ""
    )
    if len(normal) > LINK_MAX_CHARS:
        raise LinkInvalidError(link, f"at most {LINK_MAX_CHARS} characters, not {len(normal)}")
    return normal


def _authority(parts: SplitResult) -> str:
    host = (parts.hostname or "").rstrip(".")
    if ":" in host:
        host = f"[{host}]"  # an IPv6 address
    port = parts.port
    return host if port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f"{host}:{port}"


def _own_parameters(query: str) -> list[tuple[str, str]]:
    pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=200)
    return sorted(pair for pair in pairs if not _is_tracking(pair[0].lower()))


def _is_tracking(name: str) -> bool:
    return name in _TRACKING_NAMES or name.startswith(_TRACKING_PREFIXES)


def link_hash(normalised_link: str) -> str:
    """The first 128 bits of the link's SHA-256, as 32 hex digits."""
    return hashlib.sha256(normalised_link.encode("utf-8")).hexdigest()[:HASH_HEX_DIGITS]


class SeenWindow:
    """The link hashes seen last; when full, it forgets those not seen for longest."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._hashes: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._hashes)

    def seen(self, link_hash: str) -> bool:
        """Whether the hash is known; one that is stays known longer."""
        if link_hash not in self._hashes:
            return False
        self._hashes.move_to_end(link_hash)
        return True

    def remember(self, link_hash: str) -> None:
        """Add the hash."""
        self._hashes[link_hash] = None
        self._hashes.move_to_end(link_hash)
        if len(self._hashes) > self._size:
            self._hashes.popitem(last=False)
