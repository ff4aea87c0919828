"""The forms of a task: one Gymnasium environment, a Gymnasium vector environment, an SB3 VecEnv."""
