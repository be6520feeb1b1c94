"""A COCO file as a source: read, checked, made into examples, and cut where boxes are asked for."""
