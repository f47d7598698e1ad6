from __future__ import annotations

import ipaddress

import pytest

from agent.runtime.addresses import is_loopback, parse_address, refusal


@pytest.mark.parametrize(
    "text",
    [
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "fd20:ce::254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "::ffff:169.254.169.254",
        "64:ff9b::169.254.169.254",
        "2002:a9fe:a9fe::1",
        "2002:6464:64c8::1",
        "::a9fe:a9fe",
        "::100.100.100.200",
        "64:ff9b::a9fe:1",
        "64:ff9b:1::a9fe:a9fe",
        "64:ff9b:1:a9fe:a9:fe00::",
        "64:ff9b:1:ffa9:fe:a9fe::",
        "64:ff9b:1:ffff:a9:fea9:fe00:0",
        "64:ff9b:1:ffff:ffff:ffff:a83f:8110",
        "::ffff:224.0.0.1",
        "224.0.0.1",
        "ff02::1",
        "0.0.0.0",
        "::",
    ],
)
def test_link_local_addresses_and_metadata_services_are_refused(text: str) -> None:
    address = parse_address(text)
    assert address is not None
    assert refusal(address)


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "::1",
        "10.1.2.3",
        "192.168.0.9",
        "fd00::1",
        "8.8.8.8",
        "2001:db8::1",
        "::10.1.2.3",
        "64:ff9b::10.1.2.3",
        "64:ff9b:1::10.1.2.3",
        "2002:a01:203::1",
    ],
)
def test_addresses_of_hosts_are_allowed(text: str) -> None:
    assert refusal(ipaddress.ip_address(text)) == ""


def test_a_name_is_not_an_address() -> None:
    assert parse_address("localhost") is None


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.10", "::1", "::1%lo"])
def test_a_loopback_host_is_recognized_by_name_and_address(host):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "example.org", "localhost.example.org", "10.0.0.1", "::2", "127.0.0.1.example.org"]
)
def test_a_host_elsewhere_is_no_loopback_host(host):
    assert not is_loopback(host)
