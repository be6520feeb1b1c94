"""A set of TensorFlow Datasets as a source: prepared by its builder, written once as files."""
