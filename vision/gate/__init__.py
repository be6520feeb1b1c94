"""Whether a challenger goes into production."""
