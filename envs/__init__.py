"""MuJoCo environments that expose their symmetry."""

from eqrl.envs.registration import ENVIRONMENTS, make_vec, register, register_all, task_class

__all__ = ["ENVIRONMENTS", "make_vec", "register", "register_all", "task_class"]
