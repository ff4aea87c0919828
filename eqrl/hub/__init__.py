"""Run folders on a model hub: what is uploaded, and how it is checked before it is used."""

from eqrl.hub.pull import pull
from eqrl.hub.push import push

__all__ = ["pull", "push"]
