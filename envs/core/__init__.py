"""What every environment is made of: tasks, their batch of simulations, and how its state turns."""
