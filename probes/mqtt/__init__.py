"""Meters whose messages arrive through an MQTT broker."""

from probes.family import Family
from probes.model import Kind
from probes.mqtt.discovery import discover

FAMILY = Family(
    "mqtt",
    "Meters over MQTT",
    (Kind.HOST,),
    reads="any meter that publishes numbers or JSON: Tasmota, Zigbee2MQTT, Home Assistant",
    method="measured: an energy counter or the power, as the message has them",
    refresh="that of the messages",
    privilege="the password of the broker, if it has one",
    remedy="name a file of mode 0600 with the password in password_file of [[meters]]",
    tested_on=("mosquitto, with the documented messages",),
    configured=True,
    meter_kinds=("mqtt",),
)

__all__ = ["FAMILY", "discover"]
