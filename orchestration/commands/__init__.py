"""What a person can type after `python run.py`: each command is declared once, in a file of this room."""
