"""Networks: where their weights come from, how they are built, trained and exported."""
