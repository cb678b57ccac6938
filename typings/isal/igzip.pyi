"""What this project uses of isal's gzip module, whose own stub leaves buffers untyped."""

from collections.abc import Buffer

def compress(data: Buffer, compresslevel: int = 2) -> bytes: ...
