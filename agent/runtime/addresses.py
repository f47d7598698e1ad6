"""Checks the network addresses to which this program connects on behalf of its configuration."""

from __future__ import annotations

import ipaddress

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA = frozenset(
    map(
        ipaddress.ip_address,
        (
            "100.100.100.200",  # Alibaba Cloud
            "168.63.129.16",  # Azure
            "192.0.0.192",  # Oracle Cloud
            "fd00:ec2::254",  # AWS; its IPv4 address is link-local, like that of most clouds
            "fd20:ce::254",  # Google Cloud
        ),
    )
)
"""Services of clouds that give credentials to each process of a machine."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def parse_address(host: str) -> _Address | None:
    """Return the address that a text is, None for a name."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def refusal(address: _Address) -> str:
    """Return the reason not to connect to an address, empty if it is allowed.

    Link-local addresses and metadata services are refused, also as IPv4 addresses within IPv6 ones (RFC 4291, 6052 and
    3056): a server there answers any process of this host with secrets.
    """
    for each in (address, *_embedded(address)):
        if each in _METADATA:
            return "it is the metadata service of a cloud"
        if each.is_link_local:
            return "it is a link-local address, where clouds have their metadata services"
        if each.is_multicast or each.is_unspecified:
            return "it is not the address of a host"
    return ""


def _embedded(address: _Address) -> tuple[_Address, ...]:
    if not isinstance(address, ipaddress.IPv6Address):
        return ()
    found = [address.ipv4_mapped, address.sixtofour]
    if address in _NAT64:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return tuple(each for each in found if each is not None)
