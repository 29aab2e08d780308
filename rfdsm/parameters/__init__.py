"""What a number of a model is; a model's numbers by name, changed copies, JSON, and checks."""
