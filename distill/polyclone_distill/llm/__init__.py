"""Language-model students: their heads, and the folder that a run leaves for export."""
