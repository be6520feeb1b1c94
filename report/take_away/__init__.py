"""What a person takes away of a run: the model with a program that asks it, its card, charts and tables."""
