"""The service's own process: takes its options from the environment, and has nothing of the command line in memory."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent import log
from agent.cli.options import ExitCode, Options, configured, say
from agent.config import ConfigError, override

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.config import Config

_ARENAS = "MALLOC_ARENA_MAX"
"""Memory that threads free stays in arenas of their own; these few threads need but one (mallopt(3))."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the command line of `inferometer daemon` and the environment said; None where they did not."""

    options: Options
    listen: str | None = None
    log_level: str | None = None

    @classmethod
    def in_environment(cls, environment: Mapping[str, str]) -> Given:
        """Undo `to_environment`."""

        def text(name: str) -> str | None:
            return environment.get(f"INFEROMETER_{name}")

        file, estimates = text("CONFIG"), text("ESTIMATES")
        options = Options(
            None if file is None else Path(file),
            text("DATABASE"),
            text("PATH_SYSFS"),
            text("PATH_PROCFS"),
            text("PATH_NVML_LIBRARY"),
            None if estimates is None else estimates == "1",
        )
        return cls(options, text("LISTEN"), text("LOG_LEVEL"))

    def to_environment(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return the environment with all that was given in the variables that the options name."""
        options = self.options
        given = {
            "INFEROMETER_CONFIG": options.config_file,
            "INFEROMETER_DATABASE": options.database,
            "INFEROMETER_PATH_SYSFS": options.sysfs,
            "INFEROMETER_PATH_PROCFS": options.procfs,
            "INFEROMETER_PATH_NVML_LIBRARY": options.nvml_library,
            "INFEROMETER_ESTIMATES": None if options.estimates is None else int(options.estimates),
            "INFEROMETER_LISTEN": self.listen,
            "INFEROMETER_LOG_LEVEL": self.log_level,
        }
        others = {name: value for name, value in environment.items() if name not in given}
        ours = {name: str(value) for name, value in given.items() if value is not None}
        return {_ARENAS: "1", **others, **ours}

    def config(self) -> Config:
        """Read the configuration, the file anew each time. Raises ConfigError."""
        return override(configured(self.options), listen=self.listen, log_level=self.log_level)


def main() -> int:
    """Run the service until it is told to stop; return the exit code."""
    from agent.daemon import DaemonError, run

    given = Given.in_environment(os.environ)
    try:
        run(given.config)
    except ConfigError as error:
        return _ended(str(error), ExitCode.USAGE)
    except DaemonError as error:
        return _ended(str(error), ExitCode.FAILURE)
    return ExitCode.OK


def _ended(message: str, code: ExitCode) -> ExitCode:
    """Say what ended it; in the journal that is a line of its level like all others."""
    if "JOURNAL_STREAM" in os.environ:
        log.configure("error")
        log.get_logger("daemon").error(message)
    else:
        say(f"error: {message}")
    return code


if __name__ == "__main__":
    sys.exit(main())
