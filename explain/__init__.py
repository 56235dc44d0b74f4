"""Pages that explain an edit; they only read what runs have left."""
