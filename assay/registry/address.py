"""An address that a registry gave: judged by the parser that also connects, or refused.

If two parsers read one address differently, a hostile registry could pass a foreign host for its own. So what urllib3
reads is judged, and whatever another parser could read otherwise is refused: backslashes, spaces, control characters,
user information, and hosts that look like one thing and are another (127.1, %31, a Unicode dot).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urljoin

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

PORTS = {"http": 80, "https": 443}
LONGEST = 8192
_TEXT = re.compile(r"[!-\[\]-~]+")  # printable ASCII but the backslash
_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


@dataclass(frozen=True)
class Address:
    """An absolute HTTP address. ``host`` is in lower case, IPv6 in brackets; ``text`` is what to connect to."""

    scheme: str
    host: str
    port: int
    text: str

    @property
    def origin(self) -> str:
        """Scheme, host and port, as they are shown."""
        shown = "" if self.port == PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{shown}"

    @property
    def ip(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """The host's IP address, None where it is a name; an IPv6 address that maps an IPv4 one is that one."""
        try:
            found = ipaddress.ip_address(self.host.strip("[]"))
        except ValueError:
            return None
        return getattr(found, "ipv4_mapped", None) or found

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine, where plain HTTP is no risk."""
        return self.ip.is_loopback if self.ip else self.host == "localhost"

    def may_be_sent_to(self, there: Address) -> bool:
        """Whether this registry may send its clients to another host: over TLS, and into no network but its own."""
        if there.scheme != "https" or there.is_loopback or there.host.endswith(".localhost"):
            return False
        if there.ip is None:
            return True
        inside = there.ip.is_private and not (there.ip.is_link_local or there.ip.is_unspecified)
        at_home = self.ip is not None and self.ip.is_private
        return there.ip.is_global or (inside and at_home)


def parse(text: str) -> Address | None:
    """Read an absolute HTTP address; None for what is none, or can be read in two ways."""
    if len(text) > LONGEST or not _TEXT.fullmatch(text):
        return None
    try:
        found = parse_url(text)
    except (LocationParseError, ValueError):
        return None
    if found.scheme not in PORTS or not found.host or not _is_host(found.host):
        return None
    port = PORTS[found.scheme] if found.port is None else found.port
    # A user, even an empty one, an empty port, and a port's leading zeros are read differently: none may be there.
    authority = text.partition("://")[2].lower()
    stated = found.host if found.port is None else f"{found.host}:{found.port}"
    if not port or not re.match(rf"{re.escape(stated)}(?:[/?#]|\Z)", authority):
        return None
    return Address(found.scheme, found.host, port, text)


def joined(base: Address, text: str) -> Address | None:
    """The address that a text means, seen from ``base``: an absolute or a relative one; None where it is none."""
    if len(text) > LONGEST or not _TEXT.fullmatch(text):
        return None
    try:
        return parse(urljoin(base.text, text))
    except ValueError:
        return None


def resolved(base: str, text: str) -> Address | None:
    """As `joined`, where ``base`` is a text too."""
    start = parse(base)
    return joined(start, text) if start else None


def shown(there: Address | None) -> str:
    """An address in a message: no more of it than its origin, since a stranger may have written the rest."""
    return there.origin if there else "what is no address"


def _is_host(host: str) -> bool:
    try:
        if host.startswith("["):
            return ipaddress.IPv6Address(host[1:-1]).scope_id is None
        if _NUMBER.fullmatch(host.rpartition(".")[2]):
            return bool(ipaddress.IPv4Address(host))
    except ValueError:
        return False
    return len(host) <= 253 and bool(_NAME.fullmatch(host))
