"""Bad input by the thousand: every decoder against what was made to break it. `make fuzz`, or python -m test.fuzz."""
