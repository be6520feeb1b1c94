"""What a request may be: its head, rates, fields of its query and its form."""
