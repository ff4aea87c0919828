"""Parts that the models of several tasks share: floor and light, end effectors, shapes, ropes."""
