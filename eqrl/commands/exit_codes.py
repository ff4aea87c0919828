"""What the exit codes of ``eqrl`` mean, besides 0, 1 (a check found something that does not hold) and those of errors."""

INTERRUPTED = 130  # Ctrl-C outside of a training
RESUME_ME = 75  # EX_TEMPFAIL of sysexits.h: a signal stopped the training; try again later
