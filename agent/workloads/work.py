"""The operations and the bytes of an inference, which a workload counts from its shapes."""

from __future__ import annotations

import msgspec


class Work(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The work of one inference in one phase; None is not counted.

    `operations` are additions and multiplications. `moved_bytes` are the bytes that the program reads and writes in
    memory. `allocated_bytes` also has those that a processor reads before it writes a line of its cache
    (write-allocate); stores that bypass the cache need none.
    """

    operations: float | None = None
    moved_bytes: float | None = None
    allocated_bytes: float | None = None
