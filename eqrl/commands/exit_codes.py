"""Exit codes of ``eqrl`` besides 0, 1 (a check failed) and those of errors."""

INTERRUPTED = 130  # Ctrl-C outside a training
RESUME_ME = 75  # EX_TEMPFAIL of sysexits.h: a signal stopped the training, or a shard died; try again later
