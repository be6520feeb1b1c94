"""What a person reads of a run: pages, figures, sentences."""
