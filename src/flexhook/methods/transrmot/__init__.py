"""TransRMOT (Wu et al., CVPR 2023): track queries with a refer head, supervised through time."""
