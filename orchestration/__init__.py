"""What surrounds a run: lock, reaper, launch, run folder."""
