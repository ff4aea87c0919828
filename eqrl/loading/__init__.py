"""Models out of run folders and out of files of strangers."""

from eqrl.loading.models import load

__all__ = ["load"]
