"""The console script's commands: each composes a configuration or parses arguments and calls one function."""
