"""What all flows share: a run is guarded, started, read, and told of when it fails."""
