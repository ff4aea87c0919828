"""A stand-in for Ray in one process: the calls that eqrl makes of it, with the same errors. Arguments are copied."""

import copy
from types import SimpleNamespace


class RayActorError(Exception):
    pass


class WorkerCrashedError(Exception):
    pass


class GetTimeoutError(Exception):
    pass


class TaskCancelledError(Exception):
    pass


class RayTaskError(Exception):
    def __init__(self, cause):
        super().__init__(str(cause))
        self.cause = cause


class Reference:
    """What a call has given: a value or an error."""

    def __init__(self, function, args, kwargs):
        self.value, self.error = None, None
        try:
            self.value = copy.deepcopy(function(*copy.deepcopy(args), **copy.deepcopy(kwargs)))
        except (RayActorError, WorkerCrashedError, TaskCancelledError) as error:
            self.error = error
        except Exception as error:
            self.error = RayTaskError(error)


class Actor:
    """An object whose methods are called through ``method.remote(...)``; when it is dead, they only fail."""

    def __init__(self, instance):
        self._instance, self.dead = instance, False

    def __getattr__(self, name):
        def call(*args, **kwargs):
            if self.dead:
                raise RayActorError
            return getattr(self._instance, name)(*args, **kwargs)

        return SimpleNamespace(remote=lambda *args, **kwargs: Reference(call, args, kwargs))


class Ray:
    """The module."""

    exceptions = SimpleNamespace(
        RayActorError=RayActorError,
        WorkerCrashedError=WorkerCrashedError,
        GetTimeoutError=GetTimeoutError,
        TaskCancelledError=TaskCancelledError,
        RayTaskError=RayTaskError,
    )

    def __init__(self, cpus=2):
        self.cpus = cpus

    def remote(self, what):
        if isinstance(what, type):
            made = SimpleNamespace(remote=lambda *args: Actor(what(*copy.deepcopy(args))))
        else:
            made = SimpleNamespace(remote=lambda *args: Reference(what, args, {}))
        made.options = lambda **options: made
        return made

    def get(self, reference, timeout=None):
        if reference.error is not None:
            raise reference.error
        return reference.value

    def wait(self, references, num_returns, timeout):
        return references[:num_returns], references[num_returns:]

    def kill(self, actor):
        actor.dead = True

    def cancel(self, reference, force=False):
        if force:
            reference.error = WorkerCrashedError()

    def is_initialized(self):
        return True

    def cluster_resources(self):
        return {"CPU": self.cpus}

    available_resources = cluster_resources
