"""The subscription to the topic of one meter."""

from __future__ import annotations

import time
from contextlib import suppress
from threading import Event, Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from paho.mqtt.enums import CallbackAPIVersion

from probes.errors import ProbeUnavailableError, ReadError
from probes.meters.probe import Quantity, Reading
from probes.meters.secrets import secret
from probes.meters.tls import context_of
from probes.mqtt.client import BoundedClient
from probes.mqtt.messages import preset_of, values_of
from probes.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from paho.mqtt.reasoncodes import ReasonCode

    from probes.settings import MeterConfig

REFRESH_SECONDS = 300.0
"""The longest time between two messages that Tasmota uses by default (TelePeriod)."""
_CONNECT_SECONDS = 3.0
_KEEPALIVE_SECONDS = 15
_SLOWEST_RETRY_SECONDS = 30
_PORTS: Mapping[str, int] = {"mqtt": 1883, "mqtts": 8883}


class Subscription:
    """The messages of one topic; the connection is made again when the broker returns.

    A retained message is not a sample: its time is unknown. The time of a message is that of its arrival.
    """

    interval_seconds = 0.05
    """A read only takes the message that arrived."""

    def __init__(self, meter: MeterConfig, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self.reported: Mapping[str, str] = {}
        self._meter, self._clock = meter, clock
        self._places = preset_of(meter)
        refresh = meter.refresh_seconds or REFRESH_SECONDS
        energy = Quantity("energy_joules", "counter", refresh, self._places.step_joules)
        power = Quantity("power_watts", "instant", refresh, 0.0)
        wanted = ((self._places.energy, energy), (self._places.power, power))
        self.quantities = tuple(quantity for place, quantity in wanted if place)
        self._message: tuple[bytes, int] | None = None
        self._lock, self._subscribed = Lock(), Event()
        self._refusal = "the broker did not answer"
        self._client = self._new_client()

    def open(self) -> None:
        """Connect and subscribe. Raises ProbeUnavailableError with the cause."""
        parts = urlsplit(self._meter.url)
        try:
            self._client.connect(parts.hostname or "", parts.port or _PORTS[parts.scheme], _KEEPALIVE_SECONDS)
        except (OSError, ValueError) as error:
            remedy = "check the address, the port and the certificate of the broker"
            cause = getattr(error, "strerror", None) or str(error)
            raise ProbeUnavailableError(f"{self._meter.url}: {one_line(cause)}", remedy) from error
        self._client.loop_start()
        if not self._subscribed.wait(_CONNECT_SECONDS):
            remedy = "check user, password_file and topic, and the rights of the user"
            raise ProbeUnavailableError(f"{self._meter.url}: {self._refusal}", remedy)

    def read(self) -> Reading | None:
        """Return the values of the latest message, None without a new one.

        Raises ReadError if the broker is not connected, or if the message has neither value.
        """
        with self._lock:
            message, self._message = self._message, None
        if message is None:
            if not self._subscribed.is_set():
                raise ReadError(f"{self._meter.url}: {self._refusal}")
            return None
        watts, joules = values_of(message[0], self._places)
        if watts is None and joules is None:
            raise ReadError(f"the message of {self._meter.topic} has no number at the configured place")
        return Reading(watts, joules, (message[1], message[1]))

    def close(self) -> None:
        """Disconnect, and end the thread of the client."""
        with suppress(OSError, ValueError):
            self._client.disconnect()
        self._client.loop_stop()
        self._client.release()

    def _new_client(self) -> BoundedClient:
        client = BoundedClient(CallbackAPIVersion.VERSION2)
        client.connect_timeout = _CONNECT_SECONDS
        client.reconnect_delay_set(1, _SLOWEST_RETRY_SECONDS)
        if self._meter.password_file:
            client.username_pw_set(self._meter.user or None, secret(self._meter.password_file))
        if urlsplit(self._meter.url).scheme == "mqtts":
            client.tls_set_context(context_of(self._meter))
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_subscribe, client.on_message = self._on_subscribe, self._on_message
        return client

    def _on_connect(self, client: Any, _user: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if reason.is_failure:
            self._refusal = f"the broker refuses the connection ({reason})"
        else:
            self._refusal = f"the broker did not confirm the topic {self._meter.topic}"
            client.subscribe(self._meter.topic)

    def _on_subscribe(
        self, _client: Any, _user: Any, _number: int, reasons: list[ReasonCode], _properties: Any
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            self._refusal = f"the broker refuses the topic {self._meter.topic}"
        else:
            self._subscribed.set()

    def _on_disconnect(self, _client: Any, _user: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        self._subscribed.clear()
        if not self._refusal.startswith("the broker refuses"):
            self._refusal = f"the broker ended the connection ({reason})"

    def _on_message(self, _client: Any, _user: Any, message: Any) -> None:
        if not message.retain:
            with self._lock:
                self._message = (message.payload, self._clock())


def connect(meter: MeterConfig) -> Subscription:
    """Return the subscription of a meter. Raises ProbeUnavailableError."""
    source = Subscription(meter)
    try:
        source.open()
    except BaseException:
        source.close()
        raise
    return source
