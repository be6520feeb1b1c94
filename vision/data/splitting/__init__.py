"""Images dealt to train, validation, calibration and test, and the checks that may refuse them."""
