"""Ids of environments that suites run on."""

from __future__ import annotations

import eqrl

# robots of 3D-SGRL share one task, so one of them stands for all; tests/envs/locomotion runs on each
ONE_ROBOT = "eqrl/SGRL-humanoid_9_full-v0"
IDS = [env_id for env_id in eqrl.ENVIRONMENTS if not env_id.startswith("eqrl/SGRL-") or env_id == ONE_ROBOT]
