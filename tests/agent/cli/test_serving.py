from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from make_reference import serving_snapshot

from agent.api.endpoint import serve
from agent.api.unix_socket import UnixAddress
from agent.host.inventory import describe_host
from command import call, run
from daemons import configure, create_host, running
from exported import export
from metrics_server import MetricsServer, response
from probes.model import Roots
from store.database import open_database
from store.records import Host, ServingHour
from store.writer import Writer
from waiting import await_true

if TYPE_CHECKING:
    from pathlib import Path

ENTRY = '[[serving]]\nname = "chat"\nurl = "http://127.0.0.1:1/metrics"\nkind = "vllm"\n'


def test_status_without_a_server_explains_the_table(tmp_path: Path) -> None:
    result = call(tmp_path, "serving", "status")
    assert result.returncode == 2
    assert "add a table [[serving]]" in result.stderr


def test_status_without_a_service_names_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f'[exporter]\nlisten = "127.0.0.1:1"\n{ENTRY}')
    result = call(tmp_path, "serving", "status", "--config", tmp_path / "config.toml")
    assert result.returncode == 1
    assert "the service does not answer at http://127.0.0.1:1/metrics" in result.stderr
    assert "inferometer daemon" in result.stderr


def test_status_of_a_service_with_a_password_asks_its_unix_socket(tmp_path: Path) -> None:
    path, socket = tmp_path / "config.toml", tmp_path / "http.sock"
    secured = '[exporter]\nweb_config = "/etc/inferometer/web-config.yml"\n'
    path.write_text(secured + ENTRY)
    result = call(tmp_path, "serving", "status", "--config", path)
    assert result.returncode == 2
    assert "set exporter.socket as well" in result.stderr
    path.write_text(f'{secured}socket = "{socket}"\n{ENTRY}')
    result = call(tmp_path, "serving", "status", "--config", path)
    assert result.returncode == 1
    assert "No such file or directory" in result.stderr
    database = tmp_path / "own.db"
    open_database(str(database)).dispose()
    with closing(serve(export(serving=serving_snapshot()), "127.0.0.1:0", unix=UnixAddress(str(socket)))):
        result = call(tmp_path, "serving", "status", "--config", path, "--database", database)
    assert (result.returncode, result.stderr) == (0, "")
    assert "chat" in result.stdout


def test_history_shows_the_stored_hours_of_a_server(tmp_path: Path) -> None:
    database = tmp_path / "own.db"
    engine = open_database(str(database))
    writer = Writer(engine)
    writer.register(Host("h", "n"), [], "daemon", 1)
    now = int(time.time()) // 3600
    hours = [
        ServingHour("h", name, "m", now - age, "served", "measured", 1, 0, "[]", "[[2.0,1,0]]", output_tokens=5.0)
        for name in ("chat", "other")
        for age in (0, 5, 400)
    ]
    writer.save_serving_hours(hours)
    engine.dispose()
    shown = call(tmp_path, "serving", "history", "--database", database)
    assert shown.returncode == 0
    assert len(shown.stdout.splitlines()) == 5
    found = json.loads(
        call(tmp_path, "serving", "history", "--database", database, "--server", "chat", "--json").stdout
    )
    assert [each["server"] for each in found["hours"]] == ["chat", "chat"]
    assert found["hours"][0]["load"]["tokens_per_second"]["maximum"] == 2.0
    none = call(tmp_path, "serving", "history", "--database", database, "--server", "nobody")
    assert (none.returncode, none.stdout) == (0, "")
    assert "no traffic is stored since 7d" in none.stderr


def test_history_refuses_a_wrong_time(tmp_path: Path) -> None:
    result = call(tmp_path, "serving", "history", "--since", "yesterday")
    assert result.returncode == 2
    assert "--since: 'yesterday' is not a time" in result.stderr


@pytest.mark.system
def test_status_shows_the_figures_of_the_running_service(tmp_path: Path) -> None:
    home = create_host(tmp_path)
    server = MetricsServer(response('vllm:generation_tokens_total{model_name="m"} 5\n'))
    with server.running():
        entry = ENTRY.replace("http://127.0.0.1:1/metrics", server.url) + 'devices = ["package-0"]\n'
        configure(home, exporter=entry)
        with running(home) as daemon:
            await_true(lambda: daemon.metric("inferometer_serving_output_tokens_total", server="chat") is not None)
            configure(home, listen=daemon.address, exporter=entry)
            text = run(home, "serving", "status", "--config", home / "config.toml")
            assert text.returncode == 0, text.stderr
            assert text.stdout.startswith("server  up   running")
            shown = json.loads(run(home, "serving", "status", "--config", home / "config.toml", "--json").stdout)
            assert [each["up"] for each in shown["servers"]] == [True]
            assert shown["models"][0]["output_tokens"] == 0
            checks = json.loads(run(home, "doctor", "--config", home / "config.toml", "--json").stdout)["checks"]
            (check,) = [each for each in checks if each["check"] == "serving chat"]
            assert check["verdict"] == "PASS"
            assert "the energy of package-0 above idle is that of its servers" in check["found"]


def test_a_profile_of_stored_traffic_is_printed_and_written(tmp_path: Path) -> None:
    database = tmp_path / "own.db"
    engine = open_database(str(database))
    writer = Writer(engine)
    host = describe_host(Roots())
    writer.register(host, [], "daemon", 1)
    now = int(time.time()) // 3600
    hours = [
        ServingHour(
            host.id,
            "chat",
            "m",
            now - age,
            "served",
            "measured",
            360,
            0,
            "[]",
            "[]",
            3600.0,
            720.0,
            0.0,
            7200.0,
            3600.0,
        )
        for age in (2, 1)
    ]
    parts = {f"{part}_{bound}": 1000.0 for part in ("idle", "attributed") for bound in ("joules", "lower", "upper")}
    writer.save_serving_hours([replace(hour, duration=360.0, **parts) for hour in hours])
    engine.dispose()
    line = ("profile", "from-serving", "chat", "--database", database, "--since", "24h")
    printed = call(tmp_path, *line)
    assert printed.returncode == 0, printed.stderr
    assert printed.stdout.startswith("Best point        model=m: 0.200 inferences/s")
    assert json.loads(call(tmp_path, *line, "--json").stdout)["points"][0]["repeats"] == 2
    written = call(tmp_path, *line, "-o", tmp_path / "chat.json")
    assert written.returncode == 0
    shown = call(tmp_path, "profiles", "show", tmp_path / "chat.json")
    assert "production traffic" in shown.stdout
    missing = call(tmp_path, "profile", "from-serving", "nobody", "--database", database)
    assert missing.returncode == 1
    assert "no traffic of nobody is stored" in missing.stderr
