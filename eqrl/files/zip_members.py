"""Read members of untrusted zip archives: no further than the announced size, and with a complete list of errors.

``ZipFile.read`` unpacks everything in a member, whatever size it announces, and documents one of the nine errors it
raises.
"""

from __future__ import annotations

import struct
import zipfile
import zlib

# errors of Python's zip reader on broken files
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
    """The content of a member, with its checksum verified.

    ``ZipFile.read`` would unpack everything before it cuts the content to the announced size.

    Raises:
        Exception: one of :data:`ZIP_ERRORS`, if the member is damaged or does not have the announced size.
    """
    with archive.open(info) as file:
        content = file.read(info.file_size + 1)
    if len(content) != info.file_size:
        raise EOFError("it ends too early")
    return content
