"""Tests of the sources whose rows name the images."""
