"""The table of settings: file, environment, options, `config init` and the documentation are made from it."""

from __future__ import annotations

from agent.config import value_types as types
from agent.config.labels import LABELS
from agent.config.meters import METERS
from agent.config.record import Config, FleetConfig, RetentionConfig
from agent.config.serving import SERVING
from agent.config.setting import Setting, Table
from probes.model import Roots
from probes.registry import ESTIMATE, FAMILIES

_CONFIG, _ROOTS, _RETENTION, _FLEET = Config(), Roots(), RetentionConfig(), FleetConfig()
PERIOD = "period_of_"
"""Prefix of the name of a family's period setting."""


TABLES = (
    Table(
        "",
        (
            Setting(
                "database",
                types.DATABASE,
                _CONFIG.database,
                "Path or SQLAlchemy URL of the store.",
                'The URL of an absolute SQLite path begins with "sqlite:////". If the URL of a server '
                "(postgresql+psycopg://...) holds a password, restrict access to this file: chown root:inferometer, "
                "chmod 0640.",
                variable="INFEROMETER_DATABASE",
                option="--database",
                default_text="$XDG_STATE_HOME/inferometer/inferometer.db",
            ),
            Setting(
                "log_level",
                types.LEVEL,
                _CONFIG.log_level,
                "Lowest severity that the service logs: debug, info, warning or error.",
                variable="INFEROMETER_LOG_LEVEL",
                option="--log-level",
                command="daemon",
            ),
            Setting(
                "tariff_file",
                types.PATH,
                _CONFIG.tariff_file,
                "Path of a tariff, which prices the host's energy in the metric inferometer_host_cost_total.",
                "docs/tariff.example.toml is an example.",
                key="tariff",
                default_text="no tariff, so the exporter reports no cost",
            ),
        ),
    ),
    LABELS,
    Table(
        "path",
        (
            Setting(
                "sysfs",
                types.PATH,
                _ROOTS.sysfs,
                "Directory where sysfs is mounted.",
                "A container may mount the host's elsewhere.",
                variable="INFEROMETER_PATH_SYSFS",
                option="--path.sysfs",
            ),
            Setting(
                "procfs",
                types.PATH,
                _ROOTS.procfs,
                "Directory where procfs is mounted.",
                variable="INFEROMETER_PATH_PROCFS",
                option="--path.procfs",
            ),
            Setting(
                "nvml_library",
                types.PATH,
                _ROOTS.nvml_library,
                "Path of libnvidia-ml.so.1.",
                variable="INFEROMETER_PATH_NVML_LIBRARY",
                option="--path.nvml-library",
                default_text="found by the dynamic linker",
            ),
        ),
    ),
    Table(
        "sensors",
        (
            Setting(
                "exclude",
                types.SENSOR_NAMES,
                _CONFIG.exclude,
                "Families, devices or domains that are neither opened nor read, such as nvml.",
                'An entry is a family ("nvml"), a device ("package-0"), the part of a device that one family reads '
                '("hwmon/0000:03:00.0") or one domain of a device ("package-0/dram"). `inferometer devices` lists '
                "them. The option --exclude replaces the list of the file, and `--exclude none` clears it.",
                variable="INFEROMETER_EXCLUDE",
                option="--exclude",
            ),
            Setting(
                "ambient",
                types.TEXT,
                _CONFIG.ambient,
                'Device and domain of a temperature sensor of the room, such as "hwmon-room/temp1".',
                "Profiles have its temperature; `profile --ambient-celsius` gives one without a sensor.",
                default_text="no sensor",
            ),
        ),
    ),
    Table(
        "sampling",
        (
            Setting(
                "period_seconds",
                types.SECONDS,
                _CONFIG.period_seconds,
                "Seconds between two reads of a sensor, from 0.001 to 60.",
                "A sensor that refreshes more slowly is read less often, and a counter is read often enough to notice "
                "each of its wraps.",
            ),
            Setting(
                "estimates",
                types.FLAG,
                _CONFIG.estimates,
                "Model the processors' power if no sensor measures it.",
                "Such values are always marked as estimated.",
                variable="INFEROMETER_ESTIMATES",
                option="--estimates/--no-estimates",
            ),
            Setting(
                "cpu_budget",
                types.SHARE,
                _CONFIG.cpu_budget,
                "Share of one processor that sampling may use, over all its threads; 0 sets no limit.",
                "Sensors are read less often if the limit would be exceeded.",
                variable="INFEROMETER_CPU_BUDGET",
                option="--cpu-budget",
            ),
            Setting(
                "realtime",
                types.FLAG,
                _CONFIG.realtime,
                "Request real-time scheduling for one thread of measure and profile.",
                "The service never requests it.",
                variable="INFEROMETER_REALTIME",
                option="--realtime/--no-realtime",
            ),
        ),
    ),
    Table(
        "sampling.periods",
        tuple(
            Setting(
                f"{PERIOD}{family}",
                types.SECONDS,
                None,
                "Seconds between two reads of the sensors of this family.",
                key=family,
                default_text="sampling.period_seconds",
                example=_CONFIG.period_seconds,
            )
            for family in (*FAMILIES, ESTIMATE)
        ),
    ),
    Table(
        "exporter",
        (
            Setting(
                "listen",
                types.ADDRESS,
                _CONFIG.listen,
                "Address and port that serve /metrics, /-/healthy and /-/ready.",
                "The systemd unit allows loopback only. To be scraped from another machine, allow its address there "
                "as well (systemctl edit inferometer: IPAddressAllow=192.0.2.10).",
                variable="INFEROMETER_LISTEN",
                option="--listen",
                command="daemon",
            ),
            Setting(
                "hosts",
                types.HOST_NAMES,
                _CONFIG.hosts,
                "DNS names by which requests may address the exporter, beside addresses and names without a dot.",
                "On loopback every other name is refused, so that a web page cannot read the metrics through a "
                "browser on this host. On other addresses names are checked only if this list is not empty.",
            ),
            Setting(
                "socket",
                types.SOCKET_PATH,
                _CONFIG.socket,
                "Path of a unix socket that serves the same pages, such as /run/inferometer/http.sock.",
                "Its mode is 0660. A socket file on which no process listens is replaced; any other file is an error.",
                default_text="no unix socket",
            ),
            Setting(
                "socket_group",
                types.TEXT,
                _CONFIG.socket_group,
                "Group that may connect to the unix socket, by name or number.",
                "The service must be a member of it.",
                default_text="the group of the service",
            ),
            Setting(
                "web_config",
                types.PATH,
                _CONFIG.web_config,
                "Path of a web configuration in Prometheus's format, which sets TLS and passwords for exporter.listen.",
                "It must have mode 0640 or less, and needs the extra `web`. docs/fleet-metrics.md has an example. "
                "Changed certificates and users are used within a second.",
                default_text="neither TLS nor passwords",
            ),
        ),
    ),
    Table(
        "otlp",
        (
            Setting(
                "otlp_endpoint",
                types.URL,
                _CONFIG.otlp_endpoint,
                "URL of an OpenTelemetry collector that receives the energy and power of the host and its devices.",
                'It is complete, such as "http://127.0.0.1:4318/v1/metrics", and needs the extra `otlp`. The systemd '
                "unit allows loopback only: for another machine add IPAddressAllow= in a drop-in.",
                key="endpoint",
                default_text="nothing is sent",
            ),
            Setting(
                "otlp_interval_seconds",
                types.EXPORT_SECONDS,
                _CONFIG.otlp_interval_seconds,
                "Seconds between two exports to the collector.",
                key="interval_seconds",
            ),
        ),
    ),
    Table(
        "retention",
        (
            Setting(
                "raw_days",
                types.DAYS,
                _RETENTION.raw_days,
                "Days after which samples are removed; 0 sets no limit.",
                "Samples of a stored run stay as long as the run.",
            ),
            Setting(
                "rollup_days",
                types.DAYS,
                _RETENTION.rollup_days,
                "Days after which per-minute summaries of samples and hours of traffic are removed; 0 sets no limit.",
                "A summary has the count, minimum, maximum, mean and energy of a minute.",
            ),
            Setting(
                "raw_bytes",
                types.BYTES,
                _RETENTION.raw_bytes,
                "Size of the database, in bytes, beyond which old samples are removed; 0 sets no limit.",
                "The oldest samples are removed first, then the oldest summaries, but nothing younger than two hours. "
                "A database that is still too large is reported in the log.",
            ),
        ),
    ),
    Table(
        "fleet",
        (
            Setting(
                "to",
                types.FLEET_PLACE,
                _FLEET.to,
                "PostgreSQL URL or directory to which the service pushes each profile of its store.",
                "A URL is postgresql://USER@HOST/DATABASE, without a password. It is also the default of "
                "`inferometer fleet`. The systemd unit allows loopback and its own folder only: allow the address "
                "(IPAddressAllow=192.0.2.20) or the directory (ReadWritePaths=/mnt/fleet) with `systemctl edit "
                "inferometer`.",
                default_text="the service pushes nothing",
            ),
            Setting(
                "password_file",
                types.PATH,
                _FLEET.password_file,
                "Path of a file with the password of that URL, which only its owner, the service, can read.",
                default_text="no password, or that of ~/.pgpass",
            ),
            Setting(
                "anonymize",
                types.FLAG,
                _FLEET.anonymize,
                "Push profiles without names and identifiers.",
                "docs/sharing.md lists what is removed.",
            ),
        ),
    ),
    METERS,
    SERVING,
)

SETTINGS = tuple(setting for table in TABLES if not (table.repeated or table.any_key) for setting in table.settings)
"""The settings that have one value: all but those of repeated tables, and of tables whose keys the user chooses."""
