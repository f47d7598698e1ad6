"""Power distribution units (PDUs) that answer over SNMP."""

from probes.family import Family
from probes.model import Kind
from probes.snmp.discovery import discover

FAMILY = Family(
    "snmp",
    "PDUs over SNMP",
    (Kind.HOST,),
    reads="APC (rPDU2) and Raritan (PDU2): the whole PDU, or a metered outlet",
    method="measured: an energy counter, and the power",
    refresh="3 s",
    privilege="the community of SNMP 2c, or the passphrase of SNMPv3",
    remedy="name a file of mode 0600 with it in password_file of [[meters]]",
    tested_on=("snmpd of Net-SNMP, which answers as the MIBs state",),
    configured=True,
    meter_kinds=("apc", "raritan"),
)

__all__ = ["FAMILY", "discover"]
