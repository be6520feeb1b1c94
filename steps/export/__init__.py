"""Steps from the winner to a bundle."""
