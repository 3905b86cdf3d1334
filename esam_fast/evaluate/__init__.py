"""What the paper measures: AP^e, its companions, the baselines, and every table as one command."""
