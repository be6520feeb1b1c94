"""What is asked of ZenML's store: runs, champions, disk."""
