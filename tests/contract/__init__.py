"""One suite for each port, run over the fake and over what it stands for."""
