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
_COMPATIBLE = ipaddress.ip_network("::/96")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.ip_network("64:ff9b:1::/48")
_LOCAL_PLACES = ((6, 7, 9, 10), (7, 9, 10, 11), (9, 10, 11, 12), (12, 13, 14, 15))
"""The bytes of the IPv4 address for the lengths of prefix within /48: 48, 56, 64 and 96 bits (RFC 6052, 2.2)."""


def parse_address(host: str) -> _Address | None:
    """Return the address that a text is, None for a name."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Return whether a host, by name or address, is this one; of other names it is unknown."""
    address = parse_address(host)
    return host == "localhost" if address is None else address.is_loopback


def refusal(address: _Address) -> str:
    """Return the reason not to connect to an address, empty if it is allowed.

    Link-local addresses and metadata services are refused, also as IPv4 addresses within IPv6 ones (RFC 3056, 4291,
    6052 and 8215): a server there answers any process of this host with secrets.
    """
    named = (address, *_embedded(address))
    for each in (*named, *_locally_translated(address)):
        if each in _METADATA:
            return "it is the metadata service of a cloud"
        if each.is_link_local:
            return "it is a link-local address, where clouds have their metadata services"
    if any(each.is_multicast or each.is_unspecified for each in named):
        return "it is not the address of a host"
    return ""


def _embedded(address: _Address) -> tuple[_Address, ...]:
    """Return the IPv4 address that an IPv6 address stands for."""
    if not isinstance(address, ipaddress.IPv6Address):
        return ()
    found = [address.ipv4_mapped, address.sixtofour]
    if address in _NAT64 or address in _COMPATIBLE:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return tuple(each for each in found if each is not None)


def _locally_translated(address: _Address) -> tuple[_Address, ...]:
    """Return the IPv4 addresses for which a translator of this network may stand; its prefix is not known."""
    if address not in _LOCAL_NAT64:
        return ()
    packed = address.packed
    return tuple(ipaddress.IPv4Address(bytes(packed[place] for place in places)) for places in _LOCAL_PLACES)
