"""Clinical and other tables: read by stated rules, and a small network trained on them."""
