"""Run folders on a model hub: what is uploaded, and how it is checked before it is used."""

from eqrl.hub.download import pull
from eqrl.hub.upload import push

__all__ = ["pull", "push"]
