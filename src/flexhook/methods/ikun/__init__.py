"""iKUN: crops and frames encoded apart, matched by cosine."""
