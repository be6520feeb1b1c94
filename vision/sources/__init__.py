"""Where images come from; every source gives a manifest."""
