"""FathomNet as a source: what is asked for is chosen, fetched into a folder, and read there as COCO."""
