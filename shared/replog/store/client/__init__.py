"""The client of Redis: sends commands to one server, behind Sentinels or to a cluster."""
