"""Access to a hub through huggingface_hub, an extra; its errors become one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from eqrl.errors import UsageError, import_extra


@contextmanager
def hub(repo: str, endpoint: str | None) -> Iterator[Any]:
    """Yield a client of a hub.

    Args:
        repo: the repository, ``owner/name``, for error messages.
        endpoint: address of the hub; by default that of huggingface_hub, which ``HF_ENDPOINT`` may change.

    Raises:
        UsageError: if huggingface_hub is not installed, or the hub does not answer or refuses.
    """
    library: Any = import_extra("huggingface_hub", "a hub", "hub")
    # eqrl's console says what happens; bars of single files would be written across it
    import_extra("huggingface_hub.utils", "a hub", "hub").disable_progress_bars()
    try:
        yield library.HfApi(endpoint=endpoint)
    except UsageError:
        raise
    except Exception as error:  # the library passes on those of its parts, which are not its own
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UsageError(f"hub: {repo}: {reason[0]}") from error
