"""Load models from run folders and from untrusted files."""

from eqrl.loading.models import load

__all__ = ["load"]
