"""Errors of a store, with messages that state the remedy."""


class StoreError(Exception):
    """The database cannot be used; `str()` states its name, the cause and the remedy."""

    def __init__(self, database: str, cause: str, remedy: str) -> None:
        super().__init__(f"{database}: {cause}. {remedy}")
        self.database = database
        self.cause = cause
        self.remedy = remedy


class UnusablePathError(StoreError):
    """The path or the URL cannot be used: the user must name another one, or change its permissions."""


class TransientStoreError(StoreError):
    """The same call may succeed later without any action of the user.

    The disk is full, another program holds SQLite's lock, or the server is away.
    """


class UnstorableError(StoreError):
    """No database can hold the value: the same call always fails."""


class ForeignHostError(StoreError):
    """The login may not read or write rows of this host: the row-level security of the fleet refuses it."""

    def __init__(self, database: str) -> None:
        cause = "its row-level security allows this login the rows of its own host only"
        remedy = "Use the login of that host, or map the login to it (`inferometer fleet sql host`)"
        super().__init__(database, cause, remedy)


class StoreInUseError(StoreError):
    """Another daemon of this host holds the store."""


class MissingDatabaseError(StoreError):
    """The database to read does not exist or is empty."""

    def __init__(self, database: str) -> None:
        remedy = "`inferometer profile` and `inferometer daemon` create one; or use another with --database"
        super().__init__(database, "there is no database here yet", remedy)
