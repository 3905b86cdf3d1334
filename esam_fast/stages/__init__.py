"""The three modules of E-SAM as pure functions over masks and scores."""
