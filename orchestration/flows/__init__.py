"""One file a pipeline: how a run is guarded, started, recorded and written down."""
