"""Steps that fit the decision rule."""
