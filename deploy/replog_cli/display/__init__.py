"""The output of the commands: tables, bars and lines, made by pure functions that fit a width."""
