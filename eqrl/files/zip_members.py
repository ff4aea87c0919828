"""Members of zip archives from strangers: read no further than announced, with every way to be broken known.

``ZipFile.read`` unpacks all that a member holds, whatever it announces, and documents one of the nine errors that it raises.
"""

from __future__ import annotations

import struct
import zipfile
import zlib

# what Python's reader of zip files raises on broken ones
ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    RuntimeError,  # encrypted; NotImplementedError, for unknown compressions, is one too
    LookupError,
)


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The content of a member, whose checksum is compared.

    ``ZipFile.read`` would unpack all that is there before it cuts it to the announced size.

    Raises:
        Exception: one of :data:`ZIP_ERRORS`, if it is damaged or not as long as announced.
    """
    with archive.open(info) as file:
        content = file.read(info.file_size + 1)
    if len(content) != info.file_size:
        raise EOFError("it ends too early")
    return content
