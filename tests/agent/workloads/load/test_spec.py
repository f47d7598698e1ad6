"""The parameters of a load, and the URL of its server."""

from __future__ import annotations

import pytest

from agent.workloads.axes import at_point, request
from agent.workloads.declaration import Service, service_of
from agent.workloads.endpoint.spec import EndpointSpec
from agent.workloads.load.spec import parse_cpus, parse_rates
from agent.workloads.load.target import parse_url

URL = {"url": "http://127.0.0.1:8000/v1/"}


def test_a_closed_loop_is_the_default():
    spec, axes = request(EndpointSpec, URL)
    assert axes == {"concurrency": (1, 2, 4, 8)}
    assert (spec.loop, spec.phases, spec.label) == ("closed", ("serving",), "the server http://127.0.0.1:8000")


def test_a_rate_takes_the_place_of_the_concurrency():
    spec, axes = request(EndpointSpec, {**URL, "rate": (0.5, 2.0)})
    assert axes == {"rate": (0.5, 2.0)}
    assert at_point(spec, {"rate": 3.7}).rate == 3.7
    assert spec.loop == "poisson"


def test_lists_of_lengths_are_swept_with_the_load():
    _, axes = request(EndpointSpec, {**URL, "concurrency": (1,), "prompt_tokens": (8, "uniform:9,12")})
    assert axes == {"concurrency": (1,), "prompt_tokens": (8, "uniform:9,12")}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rate": (1.0,), "concurrency": (2,)}, "--concurrency and --rate exclude each other"),
        ({"prompts": "x", "prompt_tokens": (2,)}, "--prompt-tokens and --prompts exclude each other"),
        ({"url": "ftp://host"}, "--url"),
        ({"url": "http://"}, "--url"),
        ({"url": "http://host:99999"}, "--url"),
        ({"url": "http://user:word@host"}, "--url has a user or a password"),
        ({"url": "http://host/a b"}, "percent-encoding"),
        ({"url": "http://host/v1?key=secret"}, "question mark"),
        ({"url": "http://host/v1/chat/completions"}, "leave out /chat/completions"),
        ({"concurrency": (0,)}, "--concurrency: 0 is out of range"),
        ({"shared_prefix": 1.5}, "--shared-prefix: 1.5 is out of range"),
        ({"model": "caf\udce9"}, "--model: its value is not UTF-8"),
        ({"request_timeout": float("nan")}, "--request-timeout"),
        ({"client_cpus": "x"}, "--client-cpus"),
        ({"server_command": "a 'b"}, "--server-command"),
        ({"output_tokens": ("zipf:1,2",)}, "--output-tokens"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_option(given, message):
    with pytest.raises(ValueError, match=message) as refused:
        request(EndpointSpec, {**URL, **given})
    assert "word@" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "0", "-1", "x", "1,,2", "inf", "nan", "1e9"])
def test_other_rates_are_refused_with_an_example(text):
    with pytest.raises(ValueError, match=r"'.*' is not a list of numbers .* such as 0\.5,1,2"):
        parse_rates(text)


def test_cpus_are_numbers_and_ranges():
    assert parse_cpus("0-2,5") == {0, 1, 2, 5}


@pytest.mark.parametrize("text", ["a", "1-", "-1", "3-1", "9999", "0-99999999999", "1;2"])
def test_other_cpus_are_refused(text):
    with pytest.raises(ValueError, match="--client-cpus"):
        parse_cpus(text)


@pytest.mark.parametrize(
    ("url", "origin", "path"),
    [
        ("http://localhost", "http://localhost", ""),
        ("https://api.example.com:443/v1/", "https://api.example.com", "/v1"),
        ("http://[::1]:8080/x?y=1", "http://[::1]:8080", "/x?y=1"),
        ("HTTP://HOST:80", "http://host", ""),
    ],
)
def test_a_url_is_taken_apart(url, origin, path):
    target = parse_url(url)
    assert (target.origin, target.path) == (origin, path)


def test_the_service_states_who_starts_the_server():
    assert service_of(request(EndpointSpec, URL)[0]) == Service(URL["url"])
    assert service_of(request(EndpointSpec, {**URL, "server_command": "serve"})[0]).started_here
