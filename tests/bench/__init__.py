"""`make bench`: what this server does beside its peers on the same machine, in one run, with the same model files."""
