"""The external files with the weights of a model, checked before the engine opens them."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any

from agent.workloads.errors import WorkloadError

if TYPE_CHECKING:
    from pathlib import Path

_IN_MEMORY = "*/_ORT_MEM_ADDR_/*"  # the engine's mark for weights in its memory


class ExternalFiles:
    """The external files of one model. Every method raises WorkloadError that names the file and the cause.

    A file must be a regular file in the directory of the model. A link may lead there, or to the directory that the
    model's own link leads to, because caches store both as links to one directory. `file_bytes` is the size of all
    files so far, `used_bytes` the size of the weights in them.
    """

    def __init__(self, model: Path) -> None:
        self._folder = model.parent
        self._allowed = (model.parent.resolve(), model.resolve().parent)
        self._sizes: dict[str, int] = {}
        self.used_bytes = 0

    @property
    def file_bytes(self) -> int:
        """The bytes of all files so far, each counted once."""
        return sum(self._sizes.values())

    def bytes_of(self, tensor: Any) -> int:
        """Return the number of bytes of a tensor in its file."""
        _, _, length = self._place(tensor)
        self.used_bytes += length
        return length

    def load(self, tensor: Any) -> None:
        """Read the bytes of a tensor from its file into the tensor itself."""
        location, offset, length = self._place(tensor)
        with (self._folder / location).open("rb") as file:
            file.seek(offset)
            tensor.raw_data = file.read(length)
        tensor.ClearField("data_location")
        tensor.ClearField("external_data")

    def _place(self, tensor: Any) -> tuple[str, int, int]:
        """Return the file of a tensor, its offset in it and its length in bytes."""
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        if isinstance(location, bytes):  # protobuf returns text that is not UTF-8 as bytes
            location = ""
        size = self._size(location)
        try:
            offset = int(entries.get("offset") or 0)
            length = int(entries.get("length") or size - offset)
        except ValueError:
            offset = length = -1
        if offset < 0 or length < 0 or offset + length > size:
            raise WorkloadError(
                f"the weights {tensor.name!r} are not inside their file {location!r}, which has {size} bytes",
                "the file is truncated or belongs to another model: export or download both again",
            )
        return location, offset, length

    def _size(self, location: str) -> int:
        if location not in self._sizes:
            self._sizes[location] = self._checked(location)
        return self._sizes[location]

    def _checked(self, location: str) -> int:
        if not location or "\0" in location or location == _IN_MEMORY:
            raise WorkloadError(f"the model names no usable file for its weights ({location!r})", "export it again")
        path = self._folder / location
        try:
            resolved = path.resolve()
            found = path.stat()
        except FileNotFoundError as error:
            raise WorkloadError(
                f"the weights of the model are in {location!r}, which is not beside it",
                f"copy {location} into the directory of the model, under this name",
            ) from error
        except (OSError, RuntimeError) as error:
            raise WorkloadError(f"the weights in {location!r} cannot be read: {error}", "check the file") from error
        if not any(resolved.is_relative_to(folder) for folder in self._allowed):
            raise WorkloadError(
                f"the weights are in {location!r}, outside the directory of the model",
                "copy that file beside the model and export the model again",
            )
        if not stat.S_ISREG(found.st_mode):
            raise WorkloadError(
                f"the weights are in {location!r}, which is not a regular file", "export the model again"
            )
        return found.st_size
