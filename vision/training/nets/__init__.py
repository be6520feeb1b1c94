"""The only room of the core with Keras."""

from vision.base.native import quiet_native_log

# TensorFlow greets with a dozen lines about CPU features, before any of its settings are read.
with quiet_native_log():
    import tensorflow as tensorflow
