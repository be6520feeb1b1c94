"""The service measured: beside a rival, over minutes, while versions change."""
