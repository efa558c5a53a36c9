"""Reports over many runs: tables, plots, differences with their intervals, study pages."""
