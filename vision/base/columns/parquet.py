"""Arrow tables as Parquet files: equal tables give equal bytes, and a digest of them."""

from __future__ import annotations

import hashlib
import io
from typing import IO, Any


def write_table(table: Any, file: IO[bytes] | None) -> str:
    """Write a table into an open file, or nowhere; SHA-256 of its bytes, hexadecimal."""
    import pyarrow.parquet as pq
    from pyarrow import types

    sink = _Sink(file)
    numbered = [each.name for each in table.schema if types.is_dictionary(each.type)]
    pq.write_table(table, sink, compression="zstd", use_dictionary=numbered, write_statistics=False)
    return sink.digest.hexdigest()


def read_table(content: bytes) -> Any:
    """The table of a file's bytes; ValueError if they are no Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"no Parquet file: {error}") from error


class _Sink(io.RawIOBase):
    """Passes bytes on to a file, if there is one, and digests them."""

    def __init__(self, file: IO[bytes] | None) -> None:
        super().__init__()
        self.file, self.digest, self.size = file, hashlib.sha256(), 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.size

    def write(self, content: Any) -> int:
        self.digest.update(content)
        if self.file is not None:
            self.file.write(content)
        self.size += len(content)
        return len(content)
