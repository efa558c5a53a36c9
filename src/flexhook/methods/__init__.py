"""The methods of referring multi-object tracking, one package each."""
