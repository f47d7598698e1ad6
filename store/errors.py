"""What can go wrong with a store, said so that the user knows what to do."""


class StoreError(Exception):
    """The database cannot be used: `str()` names it, the cause and the remedy."""

    def __init__(self, database: str, cause: str, remedy: str) -> None:
        super().__init__(f"{database}: {cause}. {remedy}")
        self.database = database
        self.cause = cause
        self.remedy = remedy


class TransientStoreError(StoreError):
    """The same call may succeed later without any change by the user of the program.

    The disk is full, another program holds SQLite's lock, or the server is away.
    """


class UnstorableError(StoreError):
    """A value does not fit into any database: the same call fails for ever."""


class StoreInUseError(StoreError):
    """Another daemon of this host has the store."""


class MissingDatabaseError(StoreError):
    """There is no database, or an empty one, where one was to be read."""

    def __init__(self, database: str) -> None:
        remedy = "`inferometer profile` and `inferometer daemon` make one; or name another with --database"
        super().__init__(database, "there is no database here yet", remedy)
